/** Markup of the components that several pages use. */
import { type Html, type HtmlPart, html } from '../base/text/html.ts';

export type Tone = 'good' | 'warn' | 'bad';

const signs: Readonly<Record<Tone, string>> = { good: '✓', warn: '!', bad: '✗' };

/** The first thing that a reader sees: the result in two or three words, then what led to it. */
export function verdictBanner(tone: Tone, words: string, body: HtmlPart): Html {
  return html`<div class="verdict ${tone}"><strong>${signs[tone]} ${words}</strong>${body}</div>`;
}

/** Names and values. */
export function facts(rows: readonly (readonly [name: string, value: HtmlPart])[]): Html {
  return html`<dl class="facts">${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

/** A part that is wider or longer than the page; the keyboard reaches and scrolls it. */
export function scrolling(label: string, body: HtmlPart): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${label}">${body}</div>`;
}

/** A unified diff or any text, with its added and removed lines marked. */
export function diffLines(text: string): Html {
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => {
      const isHead = /^(\+\+\+|---|diff |index |@@)/.test(line);
      const kind = isHead ? 'hunk' : line.startsWith('+') ? 'add' : line.startsWith('-') ? 'del' : '';
      return html`<span class="${kind}">${line}</span>`;
    });
  return html`<pre>${lines}</pre>`;
}

/** A whole page: one file that loads nothing, with the tokens, the components and the rules of its own. */
import { contentPolicy, type Html, html, inlineScript, inlineStyle } from '../base/text/html.ts';
import { components } from './components.ts';
import { tokens } from './tokens.ts';

export interface Section {
  /** For links. */
  readonly id: string;
  readonly name: string;
  readonly body: Html;
}

export interface PageInput {
  readonly title: string;
  /** What stands above the sections: the heading and the verdict. */
  readonly head: Html;
  readonly sections: readonly Section[];
  readonly foot?: Html;
  /** Rules of this page alone; a component that two pages need belongs in components.ts. */
  readonly style?: string;
  readonly script?: string;
  /** Shows the list of contents (default: true). */
  readonly contents?: boolean;
  /** Allows `style="…"`, for bars whose length is data. */
  readonly styleAttributes?: boolean;
  /** Address of a feed, relative to the page. */
  readonly feed?: string;
}

/** The rules of the design system, for pages with a frame of their own. */
export const pageStyle = tokens + components;

/** The text of the page. */
export function pageText(input: PageInput): string {
  const { title, head, sections, foot, style = '', script, contents = true, styleAttributes = false, feed } = input;
  const sheet = inlineStyle(pageStyle + style);
  const code = script === undefined ? undefined : inlineScript(script);
  const policy = contentPolicy({ styles: [sheet], scripts: code === undefined ? [] : [code], styleAttributes });
  const links = sections.map(({ id, name }) => html`<li><a href="#${id}">${name}</a></li>`);
  const nav = html`<nav class="contents" aria-label="Parts of this page"><ul>${links}</ul></nav>`;
  const bodies = sections.map(
    ({ id, name, body }) => html`<section aria-labelledby="${id}"><h2 id="${id}">${name}</h2>\n${body}</section>\n`,
  );
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8">${policy}<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>${title}</title>
<link rel="icon" href="data:,">${feed !== undefined && html`<link rel="alternate" type="application/atom+xml" title="${title}" href="${feed}">`}${sheet.element}</head>
<body><a class="skip" href="#main">To the content</a>
<div class="frame${contents ? ' with-contents' : ''}">
<header>${head}</header>
${contents && nav}
<main id="main">
${bodies}</main>
${foot !== undefined && html`<footer class="note">${foot}</footer>`}
</div>
${code?.element}
</body></html>
`.toString();
}

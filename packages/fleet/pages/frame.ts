/** What all pages of the fleet share: the bar above, the parts of tables, numbers and times. */
import { contentPolicy, type Html, type HtmlPart, html, inlineStyle, pageStyle } from 'kpatch/parts';
import { style } from './style.ts';

const sheet = inlineStyle(pageStyle + style);
const policy = contentPolicy({ styles: [sheet], forms: true });

const places = [
  ['/', 'Overview'],
  ['/cves', 'CVEs'],
  ['/hosts', 'Hosts'],
  ['/rollouts', 'Rollouts'],
  ['/account', 'Account'],
] as const;

export interface Frame {
  readonly title: string;
  /** The entry of the bar that the page belongs to. */
  readonly place: (typeof places)[number][0] | '';
  readonly body: HtmlPart;
  /** The text of the search. */
  readonly search?: string;
}

/** The text of a page. */
export function framed({ title, place, body, search = '' }: Frame): string {
  const links = places.map(([href, name]) =>
    href === place
      ? html`<li><a href="${href}" aria-current="page">${name}</a></li>`
      : html`<li><a href="${href}">${name}</a></li>`,
  );
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8">${policy}<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>${title} · kpatch fleet</title><link rel="icon" href="data:,">${sheet.element}</head>
<body><a class="skip" href="#main">To the content</a>
<header class="top"><div><a class="brand" href="/">kpatch fleet</a><nav aria-label="Main"><ul>${links}</ul></nav>
<form action="/search" method="get" role="search"><label class="hidden" for="q">Search hosts and CVEs</label><input id="q" name="q" type="search" maxlength="100" placeholder="Host or CVE" value="${search}"><button type="submit">Search</button></form></div></header>
<main id="main" class="frame">
${body}
</main></body></html>
`.toString();
}

/** A page that says what is not there. */
export function missingPage(what: string): string {
  return framed({
    title: 'Not found',
    place: '',
    body: html`<h1>Not found</h1><p>${what}</p><p><a href="/">Overview</a></p>`,
  });
}

export interface Column {
  readonly name: string;
  readonly kind?: 'number';
}

/** A table whose first column is a heading; on narrow screens each row becomes a block, and cells name their column. */
export function dataTable(caption: string, columns: readonly Column[], rows: readonly (readonly HtmlPart[])[]): Html {
  const head = columns.map(({ name, kind }) =>
    kind === 'number' ? html`<th scope="col" class="number">${name}</th>` : html`<th scope="col">${name}</th>`,
  );
  const body = rows.map(([first, ...cells]) => {
    const rest = cells.map((cell, at) => {
      const { name, kind } = columns[at + 1]!;
      return html`<td data-name="${name}" class="${kind === 'number' ? 'number' : ''}">${cell}</td>`;
    });
    return html`<tr><th scope="row" class="plain">${first}</th>${rest}</tr>\n`;
  });
  return html`<table class="data"><caption class="hidden">${caption}</caption><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table>`;
}

export function empty(words: string): Html {
  return html`<div class="empty"><p>${words}</p></div>`;
}

/** 12,345. */
export function whole(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** 37 %, but never 100 % while one is missing. */
export function percent(part: number, all: number): string {
  if (all === 0) return '–';
  const value = (100 * part) / all;
  if (part > 0 && value < 1) return '< 1 %';
  return `${part < all ? Math.min(Math.floor(value), 99) : 100} %`;
}

/** 2026-12-01 14:05, with the full time for programs. */
export function when(ms: number): Html {
  const text = new Date(ms).toISOString();
  return html`<time datetime="${text}">${text.slice(0, 16).replace('T', ' ')}</time>`;
}

/** 3 hours ago. */
export function ago(ms: number, now: number): string {
  const minutes = Math.max(0, Math.floor((now - ms) / 60_000));
  if (minutes < 2) return 'just now';
  if (minutes < 120) return `${minutes} minutes ago`;
  if (minutes < 2880) return `${Math.floor(minutes / 60)} hours ago`;
  return `${Math.floor(minutes / 1440)} days ago`;
}

export type Part = readonly ['good' | 'warn' | 'bad', number];

/** A bar with parts of 1; what it shows must also stand beside it in words. */
export function bar(...parts: readonly Part[]): Html {
  let x = 0;
  const rects = parts.map(([tone, share]) => {
    const from = x;
    x += share * 100;
    return html`<rect class="part-${tone}" x="${from.toFixed(2)}" y="0" width="${(share * 100).toFixed(2)}" height="8"/>`;
  });
  return html`<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">${rects}</svg>`;
}

export function pill(tone: 'good' | 'warn' | 'bad' | 'idle', words: string): Html {
  return html`<span class="pill ${tone}">${words}</span>`;
}

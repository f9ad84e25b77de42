/** The SVG pictures of the report, each with a title and a description. */

import { type Html, html } from '../../base/html.ts';
import type { ReplacedCode } from './facts.ts';
import { count } from './html.ts';

const ROW = 26;
/** Maximum number of callers to draw; the rest are counted. */
const CALLERS = 8;

/** Shows the callers of each function and its redirection. */
export function redirectionPicture(functions: readonly ReplacedCode[]): Html {
  let y = 34;
  const parts: Html[] = [];
  const text = (x: number, at: number, words: string, soft = false): Html =>
    html`<text x="${x}" y="${at}" class="${soft ? 'soft' : ''}">${words}</text>`;
  const shorten = (name: string, length: number): string =>
    name.length > length ? `${name.slice(0, length - 1)}…` : name;
  parts.push(text(10, 18, 'called by', true), text(320, 18, 'original', true), text(630, 18, 'runs now', true));
  for (const { func, callers } of functions) {
    const shown = callers.slice(0, CALLERS);
    const rest = callers.length - shown.length;
    const rows = Math.max(1, shown.length + (rest > 0 ? 1 : 0));
    const middle = y + (rows * ROW) / 2;
    shown.forEach(({ name, by }, at) => {
      const cy = y + at * ROW + ROW / 2;
      parts.push(text(10, cy + 4, `${shorten(name, 28)}${by === 'pointer' ? ' (by pointer)' : ''}`));
      parts.push(html`<path class="edge" d="M 262 ${cy} C 290 ${cy}, 290 ${middle}, 316 ${middle}"/>`);
    });
    if (rest > 0) parts.push(text(10, y + shown.length * ROW + ROW / 2 + 4, `and ${rest} more`, true));
    if (callers.length === 0) parts.push(text(10, middle + 4, 'no caller was found', true));
    const label = shorten(func.name, 30);
    parts.push(html`<rect class="box" x="320" y="${middle - 21}" width="240" height="42" rx="6"/>`);
    parts.push(text(332, middle - 3, label), text(332, middle + 14, func.object, true));
    parts.push(html`<path class="edge" d="M 560 ${middle} L 624 ${middle}" marker-end="url(#arrow)"/>`);
    parts.push(html`<rect class="new" x="630" y="${middle - 21}" width="240" height="42" rx="6"/>`);
    parts.push(text(642, middle - 3, label), text(642, middle + 14, 'in the livepatch module', true));
    y += Math.max(rows * ROW, 48) + 14;
  }
  const words = functions
    .map(
      ({ name, callers }) =>
        `${name}, ${callers.length === 0 ? 'no caller found' : `called by ${callers.map((c) => c.name).join(', ')}`}`,
    )
    .join('; ');
  return html`<svg viewBox="0 0 880 ${y}" role="img" aria-labelledby="redirect-title redirect-words" width="880" class="wide">
<title id="redirect-title">${count(functions.length, 'function')} redirected to the patch module</title>
<desc id="redirect-words">${words}</desc>
<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 L8 4 L0 8 z" class="soft"/></marker></defs>
${parts}</svg>`;
}

export interface Timeline {
  readonly id: string;
  readonly title: string;
  readonly points: readonly { readonly seconds: number; readonly tasks: number }[];
}

/** Shows the number of tasks that have not switched yet, over time. */
export function timelinePicture({ id, title, points }: Timeline): Html {
  const width = 420;
  const height = 170;
  const left = 48;
  const bottom = 34;
  const lastSecond = Math.max(0.5, ...points.map((point) => point.seconds));
  const most = Math.max(1, ...points.map((point) => point.tasks));
  const x = (value: number): number => left + (value / lastSecond) * (width - left - 16);
  const y = (value: number): number => height - bottom - (value / most) * (height - bottom - 20);
  const path = points.map(({ seconds, tasks }, at) => {
    const from = points[at - 1];
    const step = from === undefined ? 'M' : `L ${x(seconds).toFixed(1)} ${y(from.tasks).toFixed(1)} L`;
    return `${step} ${x(seconds).toFixed(1)} ${y(tasks).toFixed(1)}`;
  });
  const dots = points.map(
    (p) => html`<circle cx="${x(p.seconds).toFixed(1)}" cy="${y(p.tasks).toFixed(1)}" r="3" class="soft"/>`,
  );
  const words = points.map((p) => `after ${p.seconds.toFixed(2)} s: ${p.tasks}`).join('; ');
  return html`<figure><svg viewBox="0 0 ${width} ${height}" role="img" width="${width}" aria-labelledby="${id}-t ${id}-d">
<title id="${id}-t">${title}</title><desc id="${id}-d">Tasks left: ${words}</desc>
<path class="axis" d="M ${left} 12 V ${height - bottom} H ${width - 10}" fill="none"/>
<text x="${left - 8}" y="${y(most) + 4}" text-anchor="end">${most}</text><text x="${left - 8}" y="${y(0) + 4}" text-anchor="end">0</text>
<text x="${left}" y="${height - 10}">0 s</text><text x="${width - 10}" y="${height - 10}" text-anchor="end">${lastSecond.toFixed(2)} s</text>
<path class="curve" d="${path.join(' ')}"/>${dots}</svg>
<figcaption>${title}: tasks still to change, over time (idle processors, which change last, are not counted as tasks)</figcaption></figure>`;
}

/** The SVG pictures of the report, each with a title and a description. */

import { type Html, html } from '../../base/text/html.ts';
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

/** Shows the number of tasks that have not switched yet, over time: at full width, with both axes named. */
export function timelinePicture({ id, title, points }: Timeline): Html {
  const width = 880;
  const height = 240;
  const left = 64;
  const bottom = 48;
  const top = 16;
  const right = 24;
  const lastSecond = Math.max(0.5, ...points.map((point) => point.seconds));
  const most = Math.max(1, ...points.map((point) => point.tasks));
  const x = (value: number): number => left + (value / lastSecond) * (width - left - right);
  const y = (value: number): number => height - bottom - (value / most) * (height - bottom - top);
  const path = points.map(({ seconds, tasks }, at) => {
    const from = points[at - 1];
    const step = from === undefined ? 'M' : `L ${x(seconds).toFixed(1)} ${y(from.tasks).toFixed(1)} L`;
    return `${step} ${x(seconds).toFixed(1)} ${y(tasks).toFixed(1)}`;
  });
  const dots = points.map(
    (p) => html`<circle cx="${x(p.seconds).toFixed(1)}" cy="${y(p.tasks).toFixed(1)}" r="3" class="soft"/>`,
  );
  const words = points.map((p) => `after ${p.seconds.toFixed(2)} s: ${p.tasks}`).join('; ');
  const rows = [...new Set([0, Math.round(most / 2), most])].map(
    (tasks) =>
      html`<path class="grid" d="M ${left} ${y(tasks)} H ${width - right}"/><text x="${left - 8}" y="${y(tasks) + 4}" text-anchor="end">${tasks}</text>`,
  );
  const columns = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const at = part * lastSecond;
    return html`<path class="axis" d="M ${x(at).toFixed(1)} ${height - bottom} v 5"/><text x="${x(at).toFixed(1)}" y="${height - bottom + 20}" text-anchor="middle">${at.toFixed(lastSecond < 2 ? 2 : 1)}</text>`;
  });
  const first = x(points[0]!.seconds).toFixed(1);
  const last = x(points.at(-1)!.seconds).toFixed(1);
  return html`<figure><svg viewBox="0 0 ${width} ${height}" role="img" class="chart" aria-labelledby="${id}-t ${id}-d">
<title id="${id}-t">${title}</title><desc id="${id}-d">Tasks left: ${words}</desc>
${rows}<path class="axis" d="M ${left} ${top} V ${height - bottom} H ${width - right}" fill="none"/>${columns}
<text x="${(left + width - right) / 2}" y="${height - 8}" text-anchor="middle" class="soft">seconds since the load</text>
<text x="14" y="${(top + height - bottom) / 2}" text-anchor="middle" class="soft" transform="rotate(-90 14 ${(top + height - bottom) / 2})">tasks left</text>
<path class="under" d="${path.join(' ')} L ${last} ${y(0)} L ${first} ${y(0)} Z"/>
<path class="curve" d="${path.join(' ')}"/>${dots}</svg>
<figcaption>${title}: tasks still to change, over time (idle processors, which change last, are not counted as tasks)</figcaption></figure>`;
}

/** Charts as SVG, rendered on the server; each in two widths, of which the style sheet shows one. */
import { scaleLinear, scaleLog, scaleUtc } from 'd3-scale';
import { area, curveStepAfter, line } from 'd3-shape';
import { type Html, html } from 'kpatch/parts';
import { whole } from './frame.ts';

export interface ChartPoint {
  /** Milliseconds. */
  readonly at: number;
  readonly value: number;
}

export interface Chart {
  /** What it shows, as a sentence for those who cannot see it. */
  readonly label: string;
  readonly points: readonly ChartPoint[];
  readonly second?: readonly ChartPoint[];
  readonly scale: 'linear' | 'log';
  /** At least this is visible. */
  readonly most: number;
  readonly limits?: readonly { readonly value: number; readonly name: string; readonly kind: 'limit' | 'wait' }[];
  /** Times with names, such as a ring that opens. */
  readonly marks?: readonly { readonly at: number; readonly name: string }[];
  readonly steps?: boolean;
  /** It has the whole width of the page. */
  readonly full?: boolean;
}

/** Values beyond are drawn at the upper edge: how far beyond does not matter. */
const TOP = 10_000;

const margin = { left: 52, right: 14, top: 22, bottom: 24 };

/** Both widths. */
export function chart(input: Chart): Html {
  return html`${input.full === true ? drawn(input, 1160, 270, 'wide') : drawn(input, 560, 220, 'wide')}${drawn(input, 330, 200, 'narrow')}`;
}

function drawn(input: Chart, width: number, height: number, name: 'wide' | 'narrow'): Html {
  const { label, points, second = [], limits = [], marks = [], steps = false } = input;
  const times = points.map(({ at }) => at);
  const [from, to] = [Math.min(...times), Math.max(...times)];
  const x = scaleUtc()
    .domain([from, Math.max(to, from + 3_600_000)])
    .range([margin.left, width - margin.right]);
  const most = Math.max(input.most, ...points.map(({ value }) => value), ...second.map(({ value }) => value));
  const range: [number, number] = [height - margin.bottom, margin.top];
  const isLog = input.scale === 'log';
  const y = isLog
    ? scaleLog()
        .domain([0.1, most * 1.5])
        .range(range)
        .clamp(true)
    : scaleLinear().domain([0, most]).nice(4).range(range);
  const px = ({ at }: ChartPoint): number => x(at);
  const py = ({ value }: ChartPoint): number => y(value);
  const path = line<ChartPoint>(px, py);
  const filled = area<ChartPoint>(px, range[0], py);
  if (steps) {
    path.curve(curveStepAfter);
    filled.curve(curveStepAfter);
  }
  const ticks = isLog ? [0.1, 1, 10, 100, 1e3, 1e4].filter((one) => one <= Math.min(most * 1.5, TOP)) : y.ticks(4);
  const last = points.at(-1)!;
  const zone = limits.find(({ kind }) => kind === 'limit');
  const isOver = zone !== undefined && last.value >= zone.value;
  return html`<svg class="chart ${name}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">
${zone !== undefined && html`<rect class="zone" x="${margin.left}" y="${margin.top}" width="${width - margin.left - margin.right}" height="${Math.max(0, y(zone.value) - margin.top).toFixed(1)}"/>`}
${ticks.map((one) => html`<line class="grid" x1="${margin.left}" x2="${width - margin.right}" y1="${y(one).toFixed(1)}" y2="${y(one).toFixed(1)}"/><text x="${margin.left - 8}" y="${(y(one) + 4).toFixed(1)}" text-anchor="end">${tickText(one)}</text>`)}
${x.ticks(name === 'wide' ? 6 : 3).map((one) => html`<text x="${x(one).toFixed(1)}" y="${height - 5}" text-anchor="middle">${x.tickFormat(6, to - from > 2 * 86_400_000 ? '%-d %b' : '%H:%M')(one)}</text>`)}
${marks.map(({ at, name: words }) => html`<line class="mark" x1="${x(at).toFixed(1)}" x2="${x(at).toFixed(1)}" y1="${margin.top}" y2="${range[0]}"/>${name === 'wide' && html`<text x="${(x(at) + 4).toFixed(1)}" y="${margin.top - 7}">${words}</text>`}`)}
${limits.map(({ value, name: words, kind }) => html`<line class="${kind}" x1="${margin.left}" x2="${width - margin.right}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}"/><text class="${kind}-text" x="${width - margin.right - 4}" y="${(y(value) - 5).toFixed(1)}" text-anchor="end">${words}</text>`)}
${!isLog && html`<path class="fill" d="${filled([...points]) ?? ''}"/>`}${second.length > 0 && html`<path class="second" d="${line<ChartPoint>(px, py)([...second]) ?? ''}"/>`}
<path class="main" d="${path([...points]) ?? ''}"/><circle class="dot${isOver ? ' bad' : ''}" cx="${px(last).toFixed(1)}" cy="${py(last).toFixed(1)}" r="4"/>
</svg>`;
}

function tickText(value: number): string {
  return value >= 1000 ? whole(value) : String(Number(value.toPrecision(2)));
}

/** The pages of the factory: CVE by kernel with outcomes, the funnel, and one CVE with all its evidence. Server-rendered, without script. */
import { contentPolicy, type Html, type HtmlPart, html, inlineStyle, plural } from 'kpatch/parts';
import { type CveOutcome, funnelStages, type KernelReport, type Outcome, outcomes } from '../report/outcomes.ts';
import { waitText } from '../report/wait.ts';
import { style } from './style.ts';

export interface Filter {
  /** Part of a CVE id or of a title. */
  readonly search: string;
  readonly outcome: Outcome | '';
  readonly kernel: string;
  /** From 1. */
  readonly page: number;
}

/** CVEs of one page: more would make it slow to read, not only to send. */
export const PAGE_SIZE = 200;

/** Rows of all kernels by CVE, newest first; made once for each state of the factory. */
export class Overview {
  readonly kernels: readonly KernelReport[];
  readonly rows: readonly {
    readonly cve: string;
    readonly title: string;
    readonly by: ReadonlyMap<string, CveOutcome>;
  }[];

  constructor(kernels: readonly KernelReport[]) {
    this.kernels = kernels;
    const all = new Map<string, { cve: string; title: string; by: Map<string, CveOutcome> }>();
    for (const { release, cves } of kernels) {
      for (const one of cves) {
        const row = all.get(one.cve) ?? { cve: one.cve, title: one.title, by: new Map() };
        row.by.set(release, one);
        all.set(one.cve, row);
      }
    }
    const order = new Intl.Collator('en', { numeric: true });
    this.rows = [...all.values()].sort((a, b) => order.compare(b.cve, a.cve));
  }

  matching({ search, outcome, kernel }: Filter): Overview['rows'] {
    const text = search.trim().toLowerCase();
    return this.rows.filter(({ cve, title, by }) => {
      if (text !== '' && !cve.toLowerCase().includes(text) && !title.toLowerCase().includes(text)) return false;
      if (kernel !== '' && !by.has(kernel)) return false;
      if (outcome === '') return true;
      return kernel === ''
        ? [...by.values()].some((one) => one.outcome === outcome)
        : by.get(kernel)?.outcome === outcome;
    });
  }
}

export const colours: Readonly<Record<Outcome, string>> = {
  published: 'good',
  proven: 'good',
  patched: 'good',
  fixed: 'good',
  'not affected': 'good',
  'not in this configuration': 'good',
  'left out': 'bad',
  open: 'bad',
  unknown: 'maybe',
};

/** The overview: funnel and table. It shows `size` CVEs. */
export function overviewPage(overview: Overview, filter: Filter, size = PAGE_SIZE): Html {
  const rows = overview.matching(filter);
  const pages = Math.max(1, Math.ceil(rows.length / size));
  const page = Math.min(Math.max(1, filter.page), pages);
  const shown = rows.slice((page - 1) * size, page * size);
  const kernels = overview.kernels.filter(({ release }) => filter.kernel === '' || filter.kernel === release);
  return document('Live patches by CVE', [
    html`<h1>Live patches by CVE</h1>`,
    funnel(overview.kernels),
    html`<h2 id="cves">CVEs</h2>`,
    filterForm(overview, filter),
    html`<p>${plural(rows.length, 'CVE')}${pages > 1 ? `, page ${page} of ${pages}` : ''}</p>`,
    html`<div class="scroll" tabindex="0" role="region" aria-labelledby="cves"><table><thead><tr><th scope="col">CVE</th>${kernels.map(({ release }) => html`<th scope="col">${release}</th>`)}</tr></thead>
<tbody>${shown.map(
      ({
        cve,
        title,
        by,
      }) => html`<tr><th scope="row"><a href="/cve/${cve}">${cve}</a><span class="title">${title}</span></th>${kernels.map(({ release }) => html`<td>${outcomeCell(by.get(release))}</td>`)}</tr>
`,
    )}</tbody></table></div>`,
    html`<nav class="pages" aria-label="Pages">${page > 1 && pageLink(filter, page - 1, 'Previous page')}${page < pages && pageLink(filter, page + 1, 'Next page')}</nav>`,
  ]);
}

function outcomeCell(one: CveOutcome | undefined): HtmlPart {
  if (one === undefined) return html`<span class="dim">not named</span>`;
  const reason = one.outcome === 'left out' ? html`<span class="title">${one.reason}</span>` : '';
  return html`<span class="${colours[one.outcome]}">${one.outcome}</span>${reason}`;
}

/** The table of kernels. */
export function funnel(kernels: readonly KernelReport[], title = 'Kernels'): Html {
  return html`<h2 id="funnel">${title}</h2><div class="scroll" tabindex="0" role="region" aria-labelledby="funnel"><table><thead><tr><th scope="col">Kernel</th>${funnelStages.map((stage) => html`<th scope="col" class="number">${stage}</th>`)}<th scope="col">Live patch</th><th scope="col">From record to live patch</th></tr></thead>
<tbody>${kernels.map(
    ({ release, funnel: counts, published, build, waits }) =>
      html`<tr><th scope="row" class="name"><a href="/kernel/${release}">${release}</a></th>${funnelStages.map((stage) => html`<td class="number">${counts[stage]}</td>`)}<td class="text">${published === undefined ? 'none published' : `version ${published.version}, ${published.at.slice(0, 10)}`}${build?.module !== undefined && build.module.digest !== published?.module ? `; version ${build.version} waits` : ''}</td><td class="text">${waits === undefined ? html`<span class="dim">not known</span>` : `half within ${waitText(waits.median)}, nine of ten within ${waitText(waits.ninetieth)}`}</td></tr>
`,
  )}</tbody></table></div>`;
}

function filterForm({ kernels }: Overview, filter: Filter): Html {
  const option = (value: string, text: string, chosen: string): Html =>
    value === chosen
      ? html`<option value="${value}" selected>${text}</option>`
      : html`<option value="${value}">${text}</option>`;
  return html`<form method="get" action="/" role="search"><label>Search<input type="search" name="search" value="${filter.search}" maxlength="100"></label>
<label>Outcome<select name="outcome">${option('', 'all', filter.outcome)}${outcomes.map((one) => option(one, one, filter.outcome))}</select></label>
<label>Kernel<select name="kernel">${option('', 'all', filter.kernel)}${kernels.map(({ release }) => option(release, release, filter.kernel))}</select></label>
<button type="submit">Show</button></form>`;
}

function pageLink(filter: Filter, page: number, text: string): Html {
  const query = new URLSearchParams({
    search: filter.search,
    outcome: filter.outcome,
    kernel: filter.kernel,
    page: String(page),
  });
  return html`<a href="/?${query.toString()}">${text}</a>`;
}

/** A page that says what is not there. */
export function missingPage(what: string): Html {
  return document('Not found', [html`<h1>Not found</h1><p>${what}</p><p><a href="/">All CVEs</a></p>`]);
}

const sheet = inlineStyle(style);

/** A page with the frame that all have. */
export function document(title: string, parts: readonly HtmlPart[]): Html {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">${contentPolicy({ styles: [sheet], forms: true })}<title>${title}</title>${sheet.element}</head><body><main>${parts}</main></body></html>
`;
}

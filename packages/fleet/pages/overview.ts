/** The first page: how many hosts are exposed to what, since when, and what is being done. And the list of all CVEs. */
import { type Html, type HtmlPart, html, plural, verdictBanner } from 'kpatch/parts';
import type { StoredRollout } from '../rollout/store.ts';
import type { Exposure } from '../store/view.ts';
import { ago, bar, type Column, dataTable, empty, framed, percent, pill, whole } from './frame.ts';
import type { Release, Running } from './read.ts';
import { rolloutRow } from './rollout.ts';

export interface Overview {
  readonly running: readonly Running[];
  readonly releases: ReadonlyMap<string, Release>;
  readonly exposures: readonly Exposure[];
  readonly rollouts: readonly StoredRollout[];
  readonly now: number;
}

/** Rows of the tables of the first page. */
const SHOWN = 10;

export function overviewPage({ running, releases, exposures, rollouts, now }: Overview): string {
  const sum = (of: (one: Running) => number): number => running.reduce((all, one) => all + of(one), 0);
  const hosts = sum((one) => one.hosts);
  const patched = sum((one) => (one.patch === '' ? 0 : one.hosts));
  const silent = sum((one) => one.silent);
  const open = exposures.filter(({ exposed }) => exposed > 0);
  const body = html`<h1>Fleet</h1>${verdict(open, hosts, rollouts)}
<ul class="tiles"><li><strong>${whole(hosts)}</strong><span>hosts</span></li>
<li><strong>${percent(patched, hosts)}</strong><span>run a live patch</span></li>
<li><strong>${whole(open.length)}</strong><span>CVEs with exposed hosts</span></li>
<li><strong>${whole(silent)}</strong><span>hosts silent for three intervals</span></li></ul>
<h2>Exposed to</h2>${open.length === 0 ? empty(exposures.length === 0 ? 'The server knows no CVEs of these kernels yet.' : 'No host is known to be exposed.') : exposureTable(open.slice(0, SHOWN), hosts, now)}
${open.length > SHOWN && html`<p><a href="/cves">All ${whole(open.length)} CVEs with exposed hosts</a></p>`}
<h2>Rollouts</h2>${rollouts.length === 0 ? empty('There is no rollout.') : dataTable('Rollouts', rolloutColumns, rollouts.map(rolloutRow))}
<h2>What runs</h2>${running.length === 0 ? empty('No host has reported yet.') : runningTable(running.slice(0, 2 * SHOWN), releases, hosts)}`;
  return framed({ title: 'Overview', place: '/', body });
}

const rolloutColumns: readonly Column[] = [
  { name: 'Rollout' },
  { name: 'State' },
  { name: 'Kernel' },
  { name: 'Patched', kind: 'number' },
  { name: 'Why' },
];

function verdict(open: readonly Exposure[], hosts: number, rollouts: readonly StoredRollout[]): Html {
  const halted = rollouts.find(({ state }) => state === 'halted');
  if (halted !== undefined)
    return verdictBanner(
      'bad',
      'A rollout was halted',
      html`<p><a href="/rollout/${halted.id}">${halted.title}</a>: ${halted.reason}</p>`,
    );
  const used = open.find(({ exploited }) => exploited);
  if (used !== undefined)
    return verdictBanner(
      'bad',
      'Exposed to a flaw that is exploited',
      html`<p><a href="/cve/${used.cve}">${used.cve}</a> on ${plural(used.exposed, 'host')}: ${used.title}</p>`,
    );
  if (hosts === 0)
    return verdictBanner(
      'warn',
      'No host has joined',
      html`<p>Create a token with kpatch-fleet token create, then join hosts with kpatch fleet join.</p>`,
    );
  if (open.length > 0) {
    const most = Math.max(...open.map(({ exposed }) => exposed));
    return verdictBanner(
      'warn',
      `Exposed to ${plural(open.length, 'CVE')}`,
      html`<p>Up to ${whole(most)} of ${whole(hosts)} hosts have the same flaw.</p>`,
    );
  }
  return verdictBanner(
    'good',
    'No known exposure',
    html`<p>No host is known to have a flaw that the server knows.</p>`,
  );
}

const exposureColumns: readonly Column[] = [
  { name: 'CVE' },
  { name: 'Severity' },
  { name: 'Exposed hosts', kind: 'number' },
  { name: 'Fixed by a live patch', kind: 'number' },
  { name: 'Not known', kind: 'number' },
  { name: 'Since' },
];

function exposureTable(rows: readonly Exposure[], hosts: number, now: number): Html {
  return dataTable(
    'CVEs by exposed hosts',
    exposureColumns,
    rows.map((one): HtmlPart[] => [
      html`<a href="/cve/${one.cve}">${one.cve}</a>${one.exploited && html` ${pill('bad', 'exploited')}`}<br><small>${one.title}</small>`,
      one.severity === '' ? 'unrated' : one.severity,
      html`${whole(one.exposed)}${bar(['bad', hosts === 0 ? 0 : one.exposed / hosts], ['good', hosts === 0 ? 0 : one.fixed / hosts])}`,
      whole(one.fixed),
      whole(one.unknown),
      ago(Date.parse(one.since), now),
    ]),
  );
}

/** Names of the patches of a group; an unknown digest is shown as such. */
export function patchNames(patch: string, releases: ReadonlyMap<string, Release>): string {
  if (patch === '') return 'none';
  return patch
    .split(' ')
    .map((digest) => {
      const release = releases.get(digest);
      return release === undefined ? `unknown ${digest.slice(0, 12)}` : `${release.name} version ${release.version}`;
    })
    .join(', ');
}

const runningColumns: readonly Column[] = [
  { name: 'Kernel' },
  { name: 'Live patch' },
  { name: 'Hosts', kind: 'number' },
  { name: 'Silent', kind: 'number' },
];

function runningTable(running: readonly Running[], releases: ReadonlyMap<string, Release>, hosts: number): Html {
  return dataTable(
    'Hosts by kernel and live patch',
    runningColumns,
    running.map(({ kernel, patch, hosts: count, silent }): HtmlPart[] => [
      html`<a class="nowrap" href="/hosts?${new URLSearchParams({ kernel, patch: patch === '' ? 'none' : patch }).toString()}">${kernel === '' ? 'not reported' : kernel}</a>`,
      patchNames(patch, releases),
      html`${whole(count)}${bar([patch === '' ? 'warn' : 'good', count / hosts])}`,
      whole(silent),
    ]),
  );
}

/** All CVEs with hosts that are exposed or of which it is not known. */
export function cvesPage(exposures: readonly Exposure[], hosts: number, page: number, now: number): string {
  const size = 200;
  const shown = exposures.slice((page - 1) * size, page * size);
  const body = html`<h1>CVEs</h1><p class="lead">${plural(exposures.length, 'CVE')} of the kernels of this fleet, those with the most exposed hosts first.</p>
${shown.length === 0 ? empty('There is none on this page.') : exposureTable(shown, hosts, now)}
<nav class="pages" aria-label="Pages">${page > 1 && html`<a href="/cves?page=${page - 1}">Previous page</a>`}${page * size < exposures.length && html`<a href="/cves?page=${page + 1}">Next page</a>`}</nav>`;
  return framed({ title: 'CVEs', place: '/cves', body });
}

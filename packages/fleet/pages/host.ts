/** One host, the list of hosts, and the search. */
import { facts, type Html, type HtmlPart, html, type Tone, verdictBanner } from 'kpatch/parts';
import type { Grant } from '../rollout/grant.ts';
import type { HostRow } from '../store/view.ts';
import { ago, type Column, dataTable, empty, framed, pill, when, whole } from './frame.ts';
import { patchNames } from './overview.ts';
import type { Release } from './read.ts';

export interface HostPage {
  readonly host: HostRow & {
    readonly enrolled: Date;
    readonly left: Date | null;
    readonly boot: string;
    readonly skew: number;
    readonly incidents: readonly {
      readonly at: Date;
      readonly kind: string;
      readonly patch: string;
      readonly text: string;
    }[];
    readonly history: readonly {
      readonly at: Date;
      readonly kernel: string;
      readonly patch: string;
      readonly condition: string;
    }[];
  };
  readonly releases: ReadonlyMap<string, Release>;
  /** What the newest rollout for its kernel says; undefined if there is none. */
  readonly granted: (Grant & { readonly rollout: { readonly id: string; readonly title: string } }) | undefined;
  readonly silentMs: number;
  readonly now: number;
}

const conditions: Readonly<Record<string, readonly [Tone, string]>> = {
  ok: ['good', 'In order'],
  attention: ['warn', 'Asks for attention'],
  reboot: ['warn', 'A reboot is due'],
  transition: ['warn', 'A transition is running'],
  shadowed: ['bad', 'Other code runs instead of the patch'],
  blocked: ['bad', 'The boot guard does not load a patch'],
  unsupported: ['bad', 'The kernel has no live patching'],
};

export function hostPage({ host, releases, granted, silentMs, now }: HostPage): string {
  const seen = Date.parse(host.seen);
  const isSilent = now - seen > silentMs;
  const [tone, words]: readonly [Tone, string] =
    host.standing !== 'normal'
      ? ['bad', host.standing === 'cloned' ? 'Two machines use this key' : 'An earlier state was restored']
      : isSilent
        ? ['bad', 'Silent']
        : (conditions[host.condition] ?? ['warn', host.condition]);
  const move =
    granted === undefined
      ? 'No rollout concerns its kernel.'
      : html`<a href="/rollout/${granted.rollout.id}">${granted.rollout.title}</a>: ${granted.because.text}`;
  const body = html`<p class="crumb"><a href="/hosts">Hosts</a></p><h1>${host.name}</h1>
${verdictBanner(tone, words, html`<p>Last report ${host.reports === 0 ? 'not yet' : ago(seen, now)}.</p>`)}
${facts([
  ['Kernel', html`${host.kernel}${host.package === '' ? '' : ` (${host.package})`}`],
  ['Live patch', patchNames(host.patch, releases)],
  ['May it move?', move],
  ['Labels', host.labels.length === 0 ? 'none' : host.labels.join(', ')],
  ['Joined', when(host.enrolled.getTime())],
  ['Left', host.left === null ? 'no' : when(host.left.getTime())],
  ['Reports', whole(host.reports)],
  [
    'Clock',
    Math.abs(host.skew) < 60 ? 'right' : `${whole(Math.abs(host.skew))} seconds ${host.skew > 0 ? 'ahead' : 'behind'}`,
  ],
  ['Id', html`<code>${host.id}</code>`],
])}
<h2>Incidents</h2>${host.incidents.length === 0 ? empty('None is known.') : html`<ol class="log">${host.incidents.map((one) => html`<li>${when(one.at.getTime())}<span>${pill(one.kind === 'crash' || one.kind === 'oops' ? 'bad' : 'warn', one.kind)} ${one.text}</span></li>`)}</ol>`}
<h2>History</h2>${host.history.length === 0 ? empty('It has not reported yet.') : html`<ol class="log">${host.history.map((one) => html`<li>${when(one.at.getTime())}<span>${one.kernel}, live patch ${patchNames(one.patch, releases)}, ${one.condition}</span></li>`)}</ol>`}`;
  return framed({ title: host.name, place: '/hosts', body });
}

export interface HostFilter {
  readonly search: string;
  readonly kernel: string;
  readonly patch: string;
  readonly condition: string;
  readonly label: string;
}

const columns: readonly Column[] = [
  { name: 'Host' },
  { name: 'Kernel' },
  { name: 'Live patch' },
  { name: 'Condition' },
  { name: 'Last report' },
];

/** A list of hosts; `next` is the id after which it goes on. */
export function hostsPage(
  hosts: readonly HostRow[],
  filter: HostFilter,
  next: string | undefined,
  releases: ReadonlyMap<string, Release>,
  now: number,
): string {
  const rows = hosts.map((host): HtmlPart[] => [
    html`<a href="/host/${host.id}">${host.name}</a>${host.standing !== 'normal' && html` ${pill('bad', host.standing)}`}<br><small>${host.labels.join(', ')}</small>`,
    host.kernel,
    patchNames(host.patch, releases),
    pill((conditions[host.condition] ?? ['warn'])[0], host.condition),
    host.reports === 0 ? 'never' : ago(Date.parse(host.seen), now),
  ]);
  const kept = Object.entries(filter).filter(([, value]) => value !== '');
  const more =
    next !== undefined &&
    html`<nav class="pages" aria-label="Pages"><a href="/hosts?${new URLSearchParams([...kept, ['after', next]]).toString()}">Next page</a></nav>`;
  const body = html`<h1>Hosts</h1>${filterForm(filter)}
${rows.length === 0 ? empty('No host fits.') : dataTable('Hosts', columns, rows)}${more}`;
  return framed({ title: 'Hosts', place: '/hosts', body, search: filter.search });
}

function filterForm({ search, kernel, patch, condition, label }: HostFilter): Html {
  const field = (name: string, words: string, value: string): Html =>
    html`<label>${words}<input name="${name}" value="${value}" maxlength="200"></label>`;
  const options = ['', ...Object.keys(conditions)].map((one) =>
    one === condition
      ? html`<option value="${one}" selected>${one === '' ? 'any' : one}</option>`
      : html`<option value="${one}">${one === '' ? 'any' : one}</option>`,
  );
  return html`<form class="filters" action="/hosts" method="get">${field('search', 'Name or id', search)}${field('kernel', 'Kernel', kernel)}${field('patch', 'Digest of the live patch, or none', patch)}${field('label', 'Label', label)}
<label>Condition<select name="condition">${options}</select></label><button type="submit">Show</button></form>`;
}

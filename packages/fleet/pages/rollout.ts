/** The page of one rollout: what it does and why, its rings, charts of the evidence, what happened. And the list of all. */
import { type Html, type HtmlPart, html, plural, type Tone, verdictBanner } from 'kpatch/parts';
import type { Ring, RingFacts, RolloutState } from '../rollout/decide.ts';
import { type Finding, ratioOf } from '../rollout/evidence.ts';
import { metricWords } from '../rollout/metrics.ts';
import { duration, figure, time } from '../rollout/reason.ts';
import type { Point } from '../rollout/rollouts.ts';
import type { StoredRollout } from '../rollout/store.ts';
import { chart } from './chart.ts';
import { bar, type Column, dataTable, empty, framed, percent, pill, when, whole } from './frame.ts';

export interface RolloutPage {
  readonly rollout: StoredRollout;
  /** Name of the release, if the server knows it. */
  readonly name: string | undefined;
  readonly points: readonly (Point & { readonly at: number })[];
  readonly events: readonly { readonly at: number; readonly kind: string; readonly text: string }[];
}

const tones: Readonly<Record<RolloutState, readonly [Tone, string]>> = {
  draft: ['warn', 'Not started'],
  running: ['good', 'Running'],
  paused: ['warn', 'Paused'],
  halted: ['bad', 'Halted'],
  finished: ['good', 'Finished'],
  'rolled back': ['bad', 'Rolled back'],
};

/** Steps that a person can take in a state, with what they do. */
const steps: Readonly<Record<RolloutState, readonly (readonly [step: string, words: string])[]>> = {
  draft: [['start', 'Start']],
  running: [
    ['pause', 'Pause'],
    ['halt', 'Halt'],
    ['roll-back', 'Roll back all hosts'],
  ],
  paused: [
    ['resume', 'Resume'],
    ['halt', 'Halt'],
    ['roll-back', 'Roll back all hosts'],
  ],
  halted: [['roll-back', 'Roll back all hosts']],
  finished: [['roll-back', 'Roll back all hosts']],
  'rolled back': [],
};

/** `form` is the secret that forms of the caller's session repeat; undefined if the caller may change nothing. */
export function rolloutPage({ rollout, name, points, events }: RolloutPage, form?: string): string {
  const { id, title, kernel, release, state, look, rings } = rollout;
  const body = html`<p class="crumb"><a href="/rollouts">Rollouts</a></p><h1>${title}</h1>
<p class="lead">${name ?? html`Patch <code>${release.slice(0, 16)}</code>`} for ${kernel} · rollout ${id}, created ${when(rollout.created)} by ${rollout.createdBy}</p>
${banner(rollout)}${form !== undefined && steps[state].length > 0 && stepForm(id, state, form)}
<h2>Rings</h2>${ringList(state, rings, look?.facts.rings)}
<h2>Evidence</h2>${points.length === 0 ? empty('Nothing has been observed yet.') : charts(rollout, points, events)}
${look !== undefined && findings(look.facts.judgement.findings)}
<h2>What happened</h2>${events.length === 0 ? empty('Nothing yet.') : html`<ol class="log">${events.map((one) => html`<li>${when(one.at)}<span>${one.text}</span></li>`)}</ol>`}`;
  const heading = `${title}: ${tones[state][1].toLowerCase()}`;
  return framed({ title: heading, place: '/rollouts', body });
}

/** Result first: what state it is in, and why. */
function banner({ state, reason, look }: StoredRollout): Html {
  const [tone, words] = tones[state];
  const isOver = state === 'halted' || state === 'rolled back' || state === 'paused';
  const because = isOver
    ? [reason]
    : (look?.because.map(({ text }) => text) ?? ['The server has not looked at it yet.']);
  const looked = look !== undefined && state === 'running' && html`<li class="note">Looked at ${when(look.at)}</li>`;
  return verdictBanner(
    tone,
    words,
    html`<ul class="why">${because.map((text) => html`<li>${text}</li>`)}${looked}</ul>`,
  );
}

function stepForm(id: string, state: RolloutState, form: string): Html {
  const buttons = steps[state].map(
    ([step, words]) => html`<button type="submit" formaction="/rollout/${id}/${step}">${words}</button>`,
  );
  return html`<form class="filters" method="post" action="/rollout/${id}/${steps[state][0]![0]}"><input type="hidden" name="form" value="${form}">
<label>Reason, shown to everybody<input name="reason" maxlength="500"></label>${buttons}</form>`;
}

function ringList(state: RolloutState, rings: readonly Ring[], facts: readonly RingFacts[] | undefined): Html {
  return html`<ol class="rings">${rings.map((ring, at) => ringCard(state, ring, facts?.[at]))}</ol>`;
}

const ringTones = { waiting: 'idle', open: 'warn', soaking: 'warn', done: 'good', 'rolled back': 'bad' } as const;

function ringCard(rollout: RolloutState, ring: Ring, facts: RingFacts | undefined): Html {
  const { name, labels, share, soakSeconds, windows, state, opened } = ring;
  const who = [
    labels.length > 0 && `label ${labels.join(' or ')}`,
    share !== undefined && `up to ${percent(share * 1e6, 1e6)} of the fleet`,
  ]
    .filter((one) => one !== false)
    .join('; ');
  const { hosts = 0, patched = 0, away = 0, unable = 0 } = facts ?? {};
  const others = [away > 0 && `${whole(away)} away`, unable > 0 && `${whole(unable)} unable`]
    .filter((one) => one !== false)
    .join(', ');
  const isNow = (state === 'open' || state === 'soaking') && (rollout === 'running' || rollout === 'paused');
  return html`<li class="${isNow ? 'now' : ''}"><h3>${name}${pill(ringTones[state], state)}</h3>
<p>${facts === undefined ? 'not counted yet' : `${whole(patched)} of ${plural(hosts, 'host').replace(/^\d+/, whole(hosts))} patched${others === '' ? '' : `, ${others}`}`}</p>
${bar(['good', hosts === 0 ? 0 : patched / hosts], ['warn', hosts === 0 ? 0 : unable / hosts])}
<p>${who}; observed for ${duration(soakSeconds)}${windows.map(({ days, from, to, zone }) => `; ${days.length === 7 ? 'daily' : days.join(' ')} ${from}–${to} ${zone}`)}${opened === undefined ? '' : `; open since ${time(opened)}`}</p></li>`;
}

function charts({ look }: StoredRollout, points: RolloutPage['points'], events: RolloutPage['events']): Html {
  const marks = events
    .flatMap(({ at, kind, text }) => (kind === 'open' ? { at, name: /^Ring (.+) opens/.exec(text)?.[1] ?? '' } : []))
    .reverse();
  const limit = look?.facts.judgement.limit ?? 100;
  const last = points.at(-1)!;
  const of = (value: (point: Point) => number) => points.map((point) => ({ at: point.at, value: value(point) }));
  return html`<div class="cards"><figure class="card full"><h3>Evidence that the patch does harm</h3>
<p>Near or below 1 while it is harmless. At ${whole(limit * 0.1)} the next ring waits, at ${whole(limit)} the rollout is halted.</p>
${chart({
  label: `Evidence over time, now ${figure(last.evidence)} with a limit of ${limit}`,
  points: of(({ evidence }) => Math.max(evidence, 0.1)),
  scale: 'log',
  most: limit * 3,
  full: true,
  limits: [
    { value: limit, name: `halt at ${limit}`, kind: 'limit' },
    { value: limit / 10, name: `wait from ${limit / 10}`, kind: 'wait' },
  ],
  marks,
})}</figure>
<figure class="card"><h3>Hosts with the patch</h3><p>${whole(last.patched)} of ${whole(last.hosts)}, ${whole(last.hostDays)} host-days so far.</p>
${chart({
  label: `Hosts with the patch over time, now ${last.patched} of ${last.hosts}`,
  points: of(({ patched }) => patched),
  scale: 'linear',
  most: Math.max(last.patched, 4),
  steps: true,
})}</figure>
<figure class="card"><h3>Hosts that crashed with the patch</h3><p>${whole(last.crashes)} observed, ${figure(last.expected)} would be usual in this time.</p>
${chart({
  label: `Hosts that crashed with the patch over time, now ${last.crashes}; usual are ${figure(last.expected)}`,
  points: of(({ crashes }) => crashes),
  second: of(({ expected }) => expected),
  scale: 'linear',
  most: 4,
  steps: true,
})}<ul class="legend"><li>observed</li><li class="two">usual</li></ul></figure></div>`;
}

const findingColumns: readonly Column[] = [
  { name: 'Metric' },
  { name: 'Observed', kind: 'number' },
  { name: 'Usual', kind: 'number' },
  { name: 'In' },
  { name: 'Times the usual rate' },
  { name: 'Unpatched hosts' },
  { name: 'Evidence', kind: 'number' },
];

function findings(all: readonly Finding[]): Html {
  const rows = all.map((one): HtmlPart[] => {
    const { metric, events, expected, of, baseline, unpatched, evidence, setAside, onlySideBySide } = one;
    const ratio = ratioOf(one);
    const notes = [
      setAside > 0 && `${plural(setAside, 'hour')} set aside because of outages`,
      onlySideBySide && 'compared with unpatched hosts only',
    ];
    return [
      html`${metricWords(metric)}${notes.map((note) => note !== false && html`<br><small>${note}</small>`)}`,
      whole(events),
      figure(expected),
      baseline === undefined ? plural(of, 'load') : `${figure(of)} host-days`,
      ratio === undefined ? '–' : `between ${figure(ratio.least)} and ${figure(ratio.most)}`,
      unpatched === undefined ? '–' : `${whole(unpatched.events)} in ${figure(unpatched.hostDays)} host-days`,
      figure(evidence),
    ];
  });
  return html`<h3>What each metric says</h3>${dataTable('Metrics of the test', findingColumns, rows)}
<p class="note">A host counts once. The bounds hold at all times, with an error of 5 %.</p>`;
}

const listColumns: readonly Column[] = [
  { name: 'Rollout' },
  { name: 'State' },
  { name: 'Kernel' },
  { name: 'Patched', kind: 'number' },
  { name: 'Why' },
];

/** All rollouts, newest first. */
export function rolloutsPage(rollouts: readonly StoredRollout[]): string {
  const body = html`<h1>Rollouts</h1><p class="lead">Live patches in rings, halted by evidence.</p>
${rollouts.length === 0 ? empty('There is no rollout. Create one: kpatch-fleet rollout create') : dataTable('Rollouts', listColumns, rollouts.map(rolloutRow))}`;
  return framed({ title: 'Rollouts', place: '/rollouts', body });
}

export function rolloutRow({ id, title, state, kernel, look, reason }: StoredRollout): HtmlPart[] {
  const [tone, words] = tones[state];
  const facts = look?.facts.rings ?? [];
  const [patched, hosts] = [
    facts.reduce((sum, one) => sum + one.patched, 0),
    facts.reduce((sum, one) => sum + one.hosts, 0),
  ];
  const why = reason === '' ? (look?.because[0]?.text ?? '') : reason;
  return [
    html`<a href="/rollout/${id}">${title}</a>`,
    pill(tone, words),
    html`<span class="nowrap">${kernel}</span>`,
    html`${whole(patched)} of ${whole(hosts)}${bar(['good', hosts === 0 ? 0 : patched / hosts])}`,
    why,
  ];
}

/** One CVE: who is exposed, when it will be fixed, and why not. */
import { type Html, type HtmlPart, html, plural, type Tone, verdictBanner } from 'kpatch/parts';
import type { StoredRollout } from '../rollout/store.ts';
import { ago, bar, type Column, dataTable, empty, framed, pill, whole } from './frame.ts';
import { patchNames } from './overview.ts';
import { answerOf, type CveFacts, type CveGroup, type Release } from './read.ts';

const tones = { exposed: 'bad', fixed: 'good', unknown: 'warn', 'not affected': 'idle' } as const;
const columns: readonly Column[] = [
  { name: 'Kernel' },
  { name: 'Live patch' },
  { name: 'Hosts', kind: 'number' },
  { name: 'Answer' },
  { name: 'When it will be fixed' },
];

export function cvePage(
  cve: CveFacts,
  releases: ReadonlyMap<string, Release>,
  rollouts: readonly StoredRollout[],
  now: number,
): string {
  const answered = cve.groups.map((group) => ({ group, answer: answerOf(group, cve.id, releases) }));
  const hosts = (answer: string): number =>
    answered.reduce((sum, one) => sum + (one.answer === answer ? one.group.hosts : 0), 0);
  const all = answered.reduce((sum, { group }) => sum + group.hosts, 0);
  const rows = answered.map(({ group, answer }): HtmlPart[] => [
    html`<a class="nowrap" href="/hosts?${new URLSearchParams({ kernel: group.kernel, patch: group.patch === '' ? 'none' : group.patch }).toString()}">${group.kernel}</a>`,
    patchNames(group.patch, releases),
    html`${whole(group.hosts)}${bar([answer === 'fixed' || answer === 'not affected' ? 'good' : answer === 'exposed' ? 'bad' : 'warn', all === 0 ? 0 : group.hosts / all])}`,
    pill(tones[answer], answer),
    answer === 'exposed' || answer === 'unknown' ? outlook(cve.id, group, answer, releases, rollouts) : '–',
  ]);
  const since = Math.min(...answered.flatMap(({ group, answer }) => (answer === 'exposed' ? group.since : [])));
  const body = html`<p class="crumb"><a href="/cves">CVEs</a></p><h1>${cve.id}</h1><p class="lead">${cve.title}</p>
${banner(hosts('exposed'), hosts('fixed'), hosts('unknown'), Number.isFinite(since) ? ago(since, now) : '')}
<p>Severity: ${cve.severity === '' ? 'unrated' : cve.severity}${cve.exploited && html` ${pill('bad', 'known to be exploited')}`}. <a href="https://www.cve.org/CVERecord?id=${cve.id}" rel="noreferrer">Record at cve.org</a></p>
<h2>Who is exposed</h2>${rows.length === 0 ? empty('No host of this fleet runs a kernel that it concerns.') : dataTable('Hosts by kernel and live patch', columns, rows)}`;
  return framed({ title: cve.id, place: '/cves', body });
}

function banner(exposed: number, fixed: number, unknown: number, since: string): Html {
  const [tone, words]: [Tone, string] =
    exposed > 0
      ? ['bad', `${plural(exposed, 'host').replace(/^\d+/, whole(exposed))} exposed`]
      : unknown > 0
        ? ['warn', 'Not known for all hosts']
        : ['good', 'No host is exposed'];
  const parts = [
    since !== '' && `The first exposed kernel was known to have the flaw ${since}.`,
    fixed > 0 && `${whole(fixed)} hosts are fixed by a live patch.`,
    unknown > 0 && `For ${whole(unknown)} hosts it is not known.`,
  ].filter((one) => one !== false);
  return verdictBanner(tone, words, html`<p>${parts.join(' ')}</p>`);
}

/** What leads to a fix of a group, or what is missing. */
function outlook(
  cve: string,
  { kernel, patch }: CveGroup,
  answer: 'exposed' | 'unknown',
  releases: ReadonlyMap<string, Release>,
  rollouts: readonly StoredRollout[],
): HtmlPart {
  if (answer === 'unknown' && patch.split(' ').some((digest) => digest !== '' && !releases.has(digest)))
    return 'Not known: the server does not know the patch that these hosts run.';
  const fixing = [...releases.values()].filter((one) => one.kernel === kernel && one.cves.includes(cve));
  if (fixing.length === 0) return 'No known live patch for this kernel fixes it. Install a newer kernel and reboot.';
  const rollout = rollouts.find((one) => fixing.some(({ digest }) => digest === one.release));
  if (rollout === undefined)
    return `${fixing[0]!.name} version ${fixing[0]!.version} fixes it, but nobody has created a rollout.`;
  const why = rollout.reason === '' ? rollout.look?.because.map(({ text }) => text).join(' ') : rollout.reason;
  return html`<a href="/rollout/${rollout.id}">${rollout.title}</a> is ${rollout.state}. ${why ?? ''}`;
}

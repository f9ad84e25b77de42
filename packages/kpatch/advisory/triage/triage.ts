/**
 * Triage: one answer for each CVE of a kernel, with its evidence. Nothing is rounded towards safe: sources that contradict
 * each other, errors in a record and missing facts give `unknown` or `open`.
 */
import type { Changelog } from '../formats/changelog.ts';
import { type Advisory, emptyAdvisory, severityOf } from '../record.ts';
import { type SelectionRules, select } from '../selection.ts';
import type { AffectedObject, Answer, Evidence, TriagedCve } from './answer.ts';
import { codeAnswer } from './code.ts';
import type { Built, TriageKernel } from './kernel.ts';
import { distributionStatements, type Statement, upstreamStatement } from './statements.ts';

interface Verdict {
  readonly answer: Answer;
  readonly by?: string;
  readonly evidence: readonly Evidence[];
}

/** The records, and an empty one for each CVE that only a changelog names. */
export function withNamed(
  advisories: ReadonlyMap<string, Advisory>,
  changelogs: readonly Changelog[],
): Map<string, Advisory> {
  const all = new Map(advisories);
  for (const { file, entries } of changelogs) {
    for (const { cve, title } of entries.flatMap(({ fixes }) => fixes))
      if (!all.has(cve)) all.set(cve, { ...emptyAdvisory(cve, [file]), title });
  }
  return all;
}

/** Answers for all of these CVEs, in the order of their ids. */
export function triageAll(
  advisories: ReadonlyMap<string, Advisory>,
  kernel: TriageKernel,
  rules: SelectionRules,
): TriagedCve[] {
  const ids = [...advisories.keys()].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  return ids.map((id) => triage(advisories.get(id)!, kernel, rules));
}

/** The answer for one CVE. Total: it never throws for anything that a record says. */
export function triage(advisory: Advisory, kernel: TriageKernel, rules: SelectionRules): TriagedCve {
  const built = builtOf(advisory, kernel);
  const affected = judge(advisory, kernel);
  const verdict = withConfiguration(affected, built);
  const { taken, reason } = select(rules, advisory);
  const exploited: Evidence[] =
    advisory.exploited === undefined
      ? []
      : [{ kind: 'exploited', by: 'CISA KEV', text: `known to be exploited since ${advisory.exploited}` }];
  return {
    cve: advisory.id,
    title: advisory.title ?? '',
    answer: verdict.answer,
    ...(verdict.by === undefined ? {} : { by: verdict.by }),
    evidence: [...verdict.evidence, ...exploited],
    objects: built.state === 'built' ? built.objects.map((name) => reachOf(name, kernel)) : [],
    severity: severityOf(advisory)?.level ?? 'unrated',
    exploited: advisory.exploited !== undefined,
    selected: taken,
    selection: reason,
    ...(advisory.published === undefined ? {} : { published: advisory.published }),
  };
}

/** Whether the kernel has the flaw, apart from its configuration. */
function judge(advisory: Advisory, kernel: TriageKernel): Verdict {
  const patch = kernel.live.get(advisory.id);
  if (patch !== undefined) {
    const evidence: Evidence = { kind: 'live patch', by: patch, text: `the active live patch ${patch} names it` };
    return { answer: 'fixed', by: patch, evidence: [evidence] };
  }
  const own = distributionStatements(advisory, kernel);
  const upstream = upstreamStatement(advisory, kernel);
  const problems = advisory.problems.map((text): Evidence => ({ kind: 'record', by: 'the CVE record', text }));
  const versions = fromVersions(own, upstream);
  const verdict = advisory.rejected ? rejected(own) : withCode(versions, advisory, kernel);
  return { ...verdict, evidence: [...verdict.evidence, ...problems] };
}

/** A rejected CVE stands for no flaw, unless the distribution treats it as one. */
function rejected(own: readonly Statement[]): Verdict {
  const evidence: Evidence = { kind: 'record', by: 'the CVE record', text: 'the CVE was rejected or withdrawn' };
  const others = own.filter(({ word }) => word === 'affected');
  if (others.length === 0) return { answer: 'not affected', evidence: [evidence] };
  return { answer: 'unknown', evidence: [evidence, ...others.map((one) => one.evidence)] };
}

/** The distribution's word on its own package counts before the range of upstream versions. */
function fromVersions(own: readonly Statement[], upstream: Statement | undefined): Verdict {
  const evidence = [...own, ...(upstream === undefined ? [] : [upstream])].map((one) => one.evidence);
  const decided = own.filter(({ word }) => word !== 'unknown');
  const affected = decided.filter(({ word }) => word === 'affected');
  const safe = decided.filter(({ word }) => word !== 'affected');
  if (affected.length > 0 && safe.length > 0) {
    const text = 'sources of the distribution disagree';
    return { answer: 'unknown', evidence: [{ kind: 'contradiction', by: 'kpatch', text }, ...evidence] };
  }
  const first =
    affected[0] ?? safe.find(({ word }) => word === 'fixed') ?? safe[0] ?? (own.length > 0 ? undefined : upstream);
  // The distribution has not decided: the record may say that it is affected, but not that it is safe.
  if (first === undefined) {
    const open = upstream?.word === 'affected' ? upstream : undefined;
    if (open !== undefined) return verdictOf(open, evidence);
    return { answer: 'unknown', evidence: evidence.length > 0 ? evidence : [noSource] };
  }
  return verdictOf(first, evidence);
}

const noSource: Evidence = {
  kind: 'record',
  by: 'kpatch',
  text: 'no source says which versions of this kernel are affected',
};

function verdictOf({ word, fixedIn }: Statement, evidence: readonly Evidence[]): Verdict {
  const answer = ({ affected: 'open', never: 'not affected', fixed: 'fixed', unknown: 'unknown' } as const)[word];
  return { answer, evidence, ...(fixedIn === undefined ? {} : { by: fixedIn }) };
}

/** The source itself, where it exists, decides what versions leave open and contradicts what they say wrongly. */
function withCode(versions: Verdict, advisory: Advisory, kernel: TriageKernel): Verdict {
  const { code, fixes } = kernel;
  const found = code === undefined || fixes === undefined ? undefined : codeAnswer(fixes(advisory.id), code);
  if (found === undefined) return versions;
  const evidence: Evidence[] = [
    { kind: 'code', by: 'the source of this kernel', text: found.text },
    ...versions.evidence,
  ];
  const safe = versions.answer === 'fixed' || versions.answer === 'not affected';
  const disagree = (text: string): Verdict => ({
    answer: 'unknown',
    evidence: [{ kind: 'contradiction', by: 'kpatch', text }, ...evidence],
  });
  if (found.state === 'unclear') return { ...versions, evidence };
  if (found.state === 'fixed') {
    const distribution = versions.evidence.some(({ kind }) => kind === 'distribution');
    if (versions.answer === 'open' && distribution)
      return disagree('the source has the fix, but the distribution calls this version affected');
    return safe ? { ...versions, evidence } : { answer: 'fixed', by: kernel.version, evidence };
  }
  if (safe) return disagree('the versions say that it is safe, but the source has the lines that the fix replaces');
  return { answer: 'open', ...(versions.by === undefined ? {} : { by: versions.by }), evidence };
}

/** Whether any of the files that the record or a fix names is compiled for this kernel. */
function builtOf(advisory: Advisory, { code, fixes }: TriageKernel): Built {
  if (code === undefined) return { state: 'unknown', reason: 'the configuration of this kernel is not known here' };
  const changed = fixes?.(advisory.id).flatMap(({ hunks }) => hunks.map(({ path }) => path)) ?? [];
  const files = [...new Set([...advisory.files, ...changed])];
  if (files.length === 0) return { state: 'unknown', reason: 'no source names the files' };
  const all = files.map((file) => code.built(file));
  const objects = [...new Set(all.flatMap((one) => (one.state === 'built' ? one.objects : [])))].sort();
  if (objects.length > 0) return { state: 'built', objects };
  const unknown = all.find((one) => one.state === 'unknown');
  return unknown ?? all[0]!;
}

function withConfiguration(verdict: Verdict, built: Built): Verdict {
  const text = built.state === 'built' ? `its files are compiled into ${built.objects.join(', ')}` : built.reason;
  const evidence: Evidence = { kind: 'configuration', by: 'this kernel', text };
  const all = [...verdict.evidence, evidence];
  const undecided = verdict.answer === 'open' || verdict.answer === 'unknown';
  if (built.state === 'not built' && undecided) return { answer: 'not in this configuration', evidence: all };
  return { ...verdict, evidence: undecided || built.state === 'built' ? all : verdict.evidence };
}

function reachOf(name: string, { modules }: TriageKernel): AffectedObject {
  if (name === 'vmlinux') return { name, reach: 'built in' };
  if (modules === undefined) return { name, reach: 'unknown' };
  if (modules.loaded.has(name)) return { name, reach: 'loaded' };
  return { name, reach: modules.installed.has(name) ? 'loadable' : 'absent' };
}

/** What sources say of one CVE at one version: the distribution for its own package, and the CVE record for the upstream version. */
import type { Advisory, Applicability, VersionRule } from '../record.ts';
import { ruleAt, statusAt } from '../record.ts';
import { compareBy, compareUpstream, upstreamOf } from '../version.ts';
import type { Evidence } from './answer.ts';
import type { TriageKernel } from './kernel.ts';

/** `never`: the flaw never was in it; `fixed`: it was, and was fixed. */
export type Word = 'affected' | 'never' | 'fixed' | 'unknown';

export interface Statement {
  readonly word: Word;
  readonly evidence: Evidence;
  /** The version that fixes it, of the same scheme. */
  readonly fixedIn?: string;
}

/** Changelogs, security trackers and vendors' records about this kernel's own package. */
export function distributionStatements(advisory: Advisory, kernel: TriageKernel): Statement[] {
  const own = advisory.applies.filter((applies) => isOwn(applies, kernel));
  return [...changelogStatements(advisory.id, kernel), ...own.map((applies) => packageStatement(applies, kernel))];
}

function changelogStatements(cve: string, kernel: TriageKernel): Statement[] {
  return kernel.changelogs.flatMap((changelog): Statement[] => {
    if (changelog.scheme !== kernel.scheme) return [];
    const compare = compareBy(changelog.scheme);
    const named = changelog.entries
      .filter((entry) => entry.fixes.some((fix) => fix.cve === cve))
      .map((entry) => entry.version)
      .sort(compare);
    const later = named.findLast((version) => compare(version, kernel.version) > 0);
    const before = named.findLast((version) => compare(version, kernel.version) <= 0);
    const say = (word: Word, fixedIn: string, text: string): Statement[] => [
      { word, fixedIn, evidence: { kind: 'distribution', by: 'the changelog', text } },
    ];
    if (later !== undefined) {
      const part = before === undefined ? '' : `; ${before} fixed part of it`;
      return say('affected', later, `version ${later} fixes it, this kernel is ${kernel.version}${part}`);
    }
    return before === undefined ? [] : say('fixed', before, `version ${before} fixed it`);
  });
}

/** A record of another package or another distribution says nothing about this kernel. */
function isOwn(applies: Applicability, kernel: TriageKernel): boolean {
  if (applies.scheme === 'upstream' || applies.scheme !== kernel.scheme) return false;
  const { package: name, distribution } = applies;
  const source = kernel.source ?? 'linux';
  if (name !== undefined && (kernel.scheme === 'deb' ? name !== source : !/^kernel(?:-core|-default)?$/.test(name)))
    return false;
  if (distribution === undefined) return true;
  const known = [kernel.distribution, kernel.suite].filter((one) => one !== undefined);
  return known.some((one) => distribution === one || distribution.startsWith(`${one}:`));
}

function packageStatement(applies: Applicability, kernel: TriageKernel): Statement {
  const { by = 'a record', scheme } = applies;
  const state = statusAt(applies, kernel.version);
  const compare = compareBy(scheme);
  const ends = applies.rules.flatMap((rule) => rule.below ?? []).sort(compare);
  const evidence = (text: string): Evidence => ({ kind: 'distribution', by, text });
  if (state === 'unknown') return { word: 'unknown', evidence: evidence('it is undetermined there') };
  if (state === 'affected') {
    const fixedIn = ends.find((version) => compare(version, kernel.version) > 0);
    const text = fixedIn === undefined ? 'open, no version fixes it' : `version ${fixedIn} fixes it`;
    return {
      word: 'affected',
      ...(fixedIn === undefined ? {} : { fixedIn }),
      evidence: evidence(`${text}; this kernel is ${kernel.version}`),
    };
  }
  const fixedIn = ends.findLast((version) => compare(version, kernel.version) <= 0);
  if (fixedIn === undefined) return { word: 'never', evidence: evidence('no version of this package was affected') };
  return { word: 'fixed', fixedIn, evidence: evidence(`version ${fixedIn} fixed it`) };
}

/**
 * What the upstream version of the kernel says. Any range that names it affected counts. A version such as 5.14.0 does not
 * follow the stable series, so its distribution carries fixes and flaws back, and "unaffected" says nothing.
 */
export function upstreamStatement(advisory: Advisory, kernel: TriageKernel): Statement | undefined {
  const version = upstreamOf(kernel.version);
  const upstream = advisory.applies.filter(({ scheme }) => scheme === 'upstream');
  if (upstream.length === 0) return undefined;
  const found = upstream.map((applies) => ruleAt(applies, version));
  const evidence = (text: string): Evidence => ({ kind: 'upstream version', by: 'the CVE record', text });
  if (found.some(({ status }) => status === 'affected')) {
    const fixedIn = branchFix(upstream, version);
    const text = `${version} is affected${fixedIn === undefined ? ', no version of its series is fixed' : `, ${fixedIn} is fixed`}`;
    return { word: 'affected', evidence: evidence(text), ...(fixedIn === undefined ? {} : { fixedIn }) };
  }
  const said = found.some(({ status }) => status === 'unknown')
    ? `the record does not say whether ${version} is affected`
    : !/^\d+\.\d+\.[1-9]/.test(version)
      ? `${version} is outside the affected versions, but this kernel does not follow the stable series`
      : advisory.problems.length > 0
        ? `${version} is outside the affected versions, but the record has errors: ${advisory.problems[0]}`
        : undefined;
  if (said !== undefined) return { word: 'unknown', evidence: evidence(said) };
  const rule = found.find((one) => one.rule !== undefined && one.rule.from !== '0')?.rule;
  if (rule === undefined && carriedSomewhere(advisory, upstream)) {
    const text = `several commits brought the flaw, and the record does not say whether one is in the series of ${version}`;
    return { word: 'unknown', evidence: evidence(text) };
  }
  if (rule === undefined) return { word: 'never', evidence: evidence(`the flaw is not in the series of ${version}`) };
  return { word: 'fixed', fixedIn: rule.from, evidence: evidence(`${rule.from} fixed it, this kernel is ${version}`) };
}

/** Older records list the commits that carried a flaw to stable series, but not the versions that these became. */
function carriedSomewhere(advisory: Advisory, upstream: readonly Applicability[]): boolean {
  const brought = new Set(advisory.commits.flatMap(({ introduced }) => introduced ?? []));
  const ranges = upstream.some(({ rules }) =>
    rules.some((rule) => rule.status === 'affected' && rule.below !== undefined),
  );
  return brought.size > 1 && !ranges;
}

/** The version that fixes it in the stable series of `version`. */
function branchFix(upstream: readonly Applicability[], version: string): string | undefined {
  const branch = version.split('.').slice(0, 2).join('.');
  const inBranch = (name: string | undefined): name is string => name?.startsWith(`${branch}.`) === true;
  const ends = (rule: VersionRule): string[] => {
    if (rule.status === 'unaffected' && rule.through === `${branch}.*`) return [rule.from];
    return rule.status === 'affected' && inBranch(rule.below) ? [rule.below] : [];
  };
  const found = upstream.flatMap(({ rules }) => rules.flatMap(ends)).sort(compareUpstream);
  return found.find((one) => compareUpstream(one, version) > 0);
}

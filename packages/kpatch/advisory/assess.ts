/** The answer of `kpatch advisory`: what a newer kernel would fix, what is fixed live, and what waits for a reboot. */
import type { Changelog } from './formats/changelog.ts';
import { fixedBetween } from './formats/changelog.ts';
import { type Advisory, type Applicability, emptyAdvisory, severityOf, statusAt } from './record.ts';
import { type SelectionRules, select } from './selection.ts';
import type { Level } from './severity.ts';
import { compareBy, type Scheme, upstreamOf } from './version.ts';

/** The kernel that is asked about: versions of its package. */
export interface KernelVersions {
  readonly scheme: Scheme;
  readonly from: string;
  /** The newest of its distribution. */
  readonly to: string;
  /** As advisories name it (`Debian:12`); records of other distributions are then ignored. */
  readonly distribution?: string;
}

/**
 * `covered`: fixed by the live patch; `awaited`: selected, but in no live patch yet; `reboot`: only a newer kernel fixes
 * it.
 */
export type Verdict = 'covered' | 'awaited' | 'reboot';

export interface AssessedCve {
  readonly cve: string;
  readonly title: string;
  readonly severity: Level | 'unrated';
  readonly ratedBy: string;
  /** The package version that fixes it; empty if no newer kernel is known to. */
  readonly fixedIn: string;
  readonly selected: boolean;
  readonly covered: boolean;
  readonly verdict: Verdict;
  readonly reason: string;
}

export interface Assessment {
  readonly from: string;
  readonly to: string;
  readonly cves: readonly AssessedCve[];
  readonly counts: Readonly<Record<Verdict | 'fixed' | 'selected', number>>;
}

/**
 * Joins changelogs (which know what a version fixed) with advisories (which know how bad it is) and the loaded patch.
 * `covered` are the CVEs that the live patch names. Sorted: awaited first, then by severity, then by id.
 */
export function assess(
  kernel: KernelVersions,
  advisories: ReadonlyMap<string, Advisory>,
  changelogs: readonly Changelog[],
  rules: SelectionRules,
  covered: ReadonlySet<string>,
): Assessment {
  const fixed = new Map<string, { title: string; version: string; again: boolean }>();
  for (const changelog of changelogs) {
    for (const fix of fixedBetween(changelog, kernel.from, kernel.to)) if (!fixed.has(fix.cve)) fixed.set(fix.cve, fix);
  }
  for (const advisory of advisories.values()) {
    if (fixed.has(advisory.id)) continue;
    const version = fixedBy(advisory, kernel);
    if (version !== undefined) fixed.set(advisory.id, { title: advisory.title ?? '', version, again: false });
  }
  for (const cve of covered) if (!fixed.has(cve)) fixed.set(cve, { title: '', version: '', again: false });
  const cves = [...fixed].map(([cve, fix]): AssessedCve => {
    const advisory = advisories.get(cve) ?? { ...emptyAdvisory(cve, []), title: fix.title };
    const severity = severityOf(advisory);
    const { taken, reason } = select(rules, advisory);
    const isCovered = covered.has(cve);
    return {
      cve,
      title: advisory.title ?? fix.title,
      severity: severity?.level ?? 'unrated',
      ratedBy: severity?.by ?? '',
      fixedIn: fix.version,
      selected: taken,
      covered: isCovered,
      verdict: isCovered ? 'covered' : taken ? 'awaited' : 'reboot',
      reason: fix.again ? `${reason}; an earlier version fixed part of it` : reason,
    };
  });
  cves.sort((a, b) => place(a) - place(b) || order(a) - order(b) || (a.cve < b.cve ? 1 : -1));
  const count = (verdict: Verdict): number => cves.filter((cve) => cve.verdict === verdict).length;
  const counts = {
    fixed: cves.length,
    selected: cves.filter((cve) => cve.selected).length,
    covered: count('covered'),
    awaited: count('awaited'),
    reboot: count('reboot'),
  };
  return { from: kernel.from, to: kernel.to, cves, counts };
}

function place(cve: AssessedCve): number {
  return ['awaited', 'covered', 'reboot'].indexOf(cve.verdict);
}

function order(cve: AssessedCve): number {
  return ['critical', 'important', 'moderate', 'low', 'none', 'unrated'].indexOf(cve.severity);
}

/**
 * The version that fixes it where the kernel is affected and the newest is not; the distribution's own word counts first.
 */
function fixedBy(advisory: Advisory, kernel: KernelVersions): string | undefined {
  const own = advisory.applies.filter((applies) => applies.scheme === kernel.scheme && concerns(applies, kernel));
  for (const applies of own)
    if (isFixed(applies, kernel.from, kernel.to)) return fixVersion(applies, kernel.from, kernel.to);
  if (own.length > 0) return undefined;
  const [from, to] = [upstreamOf(kernel.from), upstreamOf(kernel.to)];
  const upstream = advisory.applies.filter((applies) => applies.scheme === 'upstream');
  return upstream.some((applies) => isFixed(applies, from, to)) ? kernel.to : undefined;
}

function concerns(applies: Applicability, kernel: KernelVersions): boolean {
  const { distribution } = kernel;
  if (distribution === undefined || applies.distribution === undefined) return true;
  return applies.distribution === distribution || applies.distribution.startsWith(`${distribution}:`);
}

function isFixed(applies: Applicability, from: string, to: string): boolean {
  return statusAt(applies, from) === 'affected' && statusAt(applies, to) === 'unaffected';
}

function fixVersion(applies: Applicability, from: string, to: string): string {
  const compare = compareBy(applies.scheme);
  const ends = applies.rules.flatMap((rule) => rule.below ?? []);
  const inside = ends.filter((version) => compare(version, from) > 0 && compare(version, to) <= 0).sort(compare);
  return inside[0] ?? to;
}

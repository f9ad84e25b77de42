/** The effective release: how far a patched kernel is equal to a newer one, as far as CVEs go. */
import { type Advisory, ruleAt } from '../record.ts';
import { compareBy, compareUpstream, upstreamOf } from '../version.ts';
import type { Answer, TriagedCve } from './answer.ts';
import type { TriageKernel } from './kernel.ts';

/** A CVE that stands in the way of a release. */
export interface MissingCve {
  readonly cve: string;
  readonly title: string;
  readonly answer: Answer;
  readonly severity: string;
}

export interface Effective {
  /** The newest release up to which everything is fixed or does not concern this kernel; never newer than that. */
  readonly release: string;
  /** The release after it, and what is missing for it; undefined if there is none. */
  readonly next?: { readonly release: string; readonly missing: readonly MissingCve[] };
  /** Releases that are newer than this kernel, in the changelogs. */
  readonly known: number;
}

/**
 * Compares a kernel with the newer releases of its line, as its changelogs list them. A release counts if every CVE that
 * changelogs name up to it, or that the CVE record says its upstream version fixes, is fixed here, not built here or does not
 * affect this kernel. `ignores` leaves CVEs out, for the value under a selection.
 */
export function effective(
  kernel: TriageKernel,
  advisories: ReadonlyMap<string, Advisory>,
  triaged: ReadonlyMap<string, TriagedCve>,
  ignores: (cve: TriagedCve | undefined) => boolean = () => false,
): Effective {
  const compare = compareBy(kernel.scheme);
  const entries = kernel.changelogs
    .filter(({ scheme }) => scheme === kernel.scheme)
    .flatMap((changelog) => changelog.entries)
    .filter(({ version }) => compare(version, kernel.version) > 0 && sameLine(version, kernel.version))
    .sort((a, b) => compare(a.version, b.version));
  const releases = [...new Set(entries.map(({ version }) => version))];
  let reached = kernel.version;
  let before = upstreamOf(kernel.version);
  for (const release of releases) {
    const titles = new Map(
      entries
        .filter(({ version }) => version === release)
        .flatMap(({ fixes }) => fixes.map((fix) => [fix.cve, fix.title])),
    );
    const upstream = upstreamOf(release);
    for (const advisory of advisories.values())
      if (fixedBetween(advisory, before, upstream) && !titles.has(advisory.id))
        titles.set(advisory.id, advisory.title ?? '');
    const missing = [...titles].flatMap(([cve, title]): MissingCve[] => {
      const found = triaged.get(cve);
      if (ignores(found) || isDone(found?.answer)) return [];
      const { severity = 'unrated', answer = 'unknown' } = found ?? {};
      return [{ cve, title: found?.title || title, answer, severity }];
    });
    if (missing.length > 0) return { release: reached, next: { release, missing }, known: releases.length };
    reached = release;
    before = upstream;
  }
  return { release: reached, known: releases.length };
}

function isDone(answer: Answer | undefined): boolean {
  return answer === 'fixed' || answer === 'not affected' || answer === 'not in this configuration';
}

/** Of the same stable series: 6.1.170-3 and 6.1.192-1, not 6.12.1-1. */
function sameLine(a: string, b: string): boolean {
  const line = (version: string): string => upstreamOf(version).split('.').slice(0, 2).join('.');
  return line(a) === line(b);
}

function fixedBetween(advisory: Advisory, from: string, to: string): boolean {
  if (advisory.rejected || compareUpstream(from, to) >= 0) return false;
  const upstream = advisory.applies.filter(({ scheme }) => scheme === 'upstream');
  const affected = (version: string): boolean =>
    upstream.some((applies) => ruleAt(applies, version).status === 'affected');
  return affected(from) && !affected(to);
}

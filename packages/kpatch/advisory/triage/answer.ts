/** What triage answers for one CVE and one kernel. */
import type { Level } from '../severity.ts';

/**
 * `not affected`: the flaw never was in this kernel; `not in this configuration`: its files are not compiled for it; `fixed`:
 * by a version of the package or by a live patch; `open`: affected and not fixed; `unknown`: the sources do not decide it.
 */
export const answers = ['not affected', 'not in this configuration', 'fixed', 'open', 'unknown'] as const;
export type Answer = (typeof answers)[number];

/** One reason, with who gives it. */
export interface Evidence {
  readonly kind:
    | 'record'
    | 'upstream version'
    | 'distribution'
    | 'code'
    | 'configuration'
    | 'live patch'
    | 'contradiction'
    | 'exploited';
  readonly by: string;
  readonly text: string;
}

/** An object that contains the affected files, and whether this machine runs it. */
export interface AffectedObject {
  /** `vmlinux`, or the name of a module. */
  readonly name: string;
  /** `loadable`: its file is installed; `absent`: it is not; `unknown`: nothing is known of a machine. */
  readonly reach: 'built in' | 'loaded' | 'loadable' | 'absent' | 'unknown';
}

export interface TriagedCve {
  readonly cve: string;
  readonly title: string;
  readonly answer: Answer;
  /** With `fixed`: the live patch or the version; with `open`: the version that fixes it, if one is known. */
  readonly by?: string;
  readonly evidence: readonly Evidence[];
  readonly objects: readonly AffectedObject[];
  readonly severity: Level | 'unrated';
  readonly exploited: boolean;
  /** Whether the selection takes it for a live patch, and why. */
  readonly selected: boolean;
  readonly selection: string;
  readonly published?: string;
}

/** How many CVEs have each answer. */
export function countAnswers(all: readonly { readonly answer: Answer }[]): Record<Answer, number> {
  const counts = { 'not affected': 0, 'not in this configuration': 0, fixed: 0, open: 0, unknown: 0 };
  for (const { answer } of all) counts[answer]++;
  return counts;
}

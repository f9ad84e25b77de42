/**
 * Decides what a signed report is: the next one of its machine, the same one again, an old one that somebody repeats, or one
 * of a copy of the machine. Each report has a random link and names the link before it, so the reports of one machine form a
 * chain; a copy makes a second branch.
 *
 * | previous link is | counter | clock | verdict |
 * |---|---|---|---|
 * | the newest one | any | any | next |
 * | (its own link is the newest one) | | | again: the answer was lost |
 * | the end of a branch that was left | any | any | cloned: both branches grow |
 * | unknown | higher | any | next, with a gap: reports were dropped |
 * | unknown | not higher | not later | replayed |
 * | unknown | not higher | later, same machine | restored: an earlier state of the machine goes on |
 * | unknown | not higher | later, another machine | cloned: the copy runs on other hardware |
 */
import type { FleetReport } from 'kpatch/fleet';

/** What the server remembers of the reports of a machine. */
export interface ChainState {
  readonly counter: number;
  readonly link: string;
  /** When the machine signed its last report by its own clock, at most the time of the server (milliseconds). */
  readonly at: number;
  /** Ends of branches that were left, newest last. */
  readonly other: readonly string[];
  readonly machine: string;
}

export type Verdict = 'next' | 'gap' | 'again' | 'replayed' | 'restored' | 'cloned';

/** How many ends of left branches are remembered. */
const BRANCHES = 4;

/** The verdict over a report. */
export function judge(state: ChainState, { counter, link, previous, at, machine }: FleetReport): Verdict {
  if (link === state.link) return 'again';
  if (previous === state.link) return 'next';
  if (previous !== '' && state.other.includes(previous)) return 'cloned';
  if (counter > state.counter) return 'gap';
  if (Date.parse(at) <= state.at) return 'replayed';
  return machine === state.machine ? 'restored' : 'cloned';
}

/** The state after a report that counts. */
export function stateAfter(state: ChainState, report: FleetReport, verdict: Verdict, now: number): ChainState {
  const branched = verdict === 'restored' || verdict === 'cloned';
  return {
    counter: Math.max(state.counter, report.counter),
    link: report.link,
    at: Math.min(Date.parse(report.at), now),
    other: branched ? [...state.other, state.link].slice(-BRANCHES) : state.other,
    machine: report.machine,
  };
}

/** What happened on patched and on comparable unpatched hosts, and what the tests conclude from it. */
import {
  ASSUMED_EVENTS,
  ERROR,
  type Metric,
  type RateMetric,
  rateMetrics,
  rateRules,
  shareMetrics,
  shareRules,
} from './metrics.ts';
import {
  addSideBySide,
  type Baseline,
  binomialAtLeast,
  noSideBySide,
  poissonAtLeast,
  rateEvidence,
  ratioBounds,
  type SideBySide,
  shareEvidence,
  sideBySideEvidence,
} from './sequential.ts';

/** Hosts that had at least one incident, and the time under observation. A host that crashes in a loop counts once. */
export interface Group extends Readonly<Record<RateMetric, number>> {
  readonly hostDays: number;
}

export const emptyGroup: Group = { hostDays: 0, crash: 0, oops: 0, missing: 0 };

/** One hour of the hosts that can be compared with each other: those of one site or group. */
export interface Cell {
  readonly patched: Group;
  readonly unpatched: Group;
}

export interface Transitions {
  readonly tried: number;
  readonly failed: number;
  readonly slow: number;
}

/** What one metric has seen so far; hours that were set aside are not in it. */
interface Counted {
  readonly patched: { readonly events: number; readonly hostDays: number };
  readonly unpatched: { readonly events: number; readonly hostDays: number };
  readonly sideBySide: SideBySide;
  /** Hours set aside because unpatched hosts of the same group failed in unusual numbers as well. */
  readonly setAside: number;
}

/** The sums that the tests need; `tally` makes them and `count` adds an hour. */
export interface Tally {
  readonly history: Group;
  readonly rates: Readonly<Record<RateMetric, Counted>>;
}

const none = { events: 0, hostDays: 0 };
const nothing: Counted = { patched: none, unpatched: none, sideBySide: noSideBySide, setAside: 0 };

/** The sums of a rollout that has just begun; `history` is the time before it. */
export function tally(history: Group): Tally {
  return { history, rates: { crash: nothing, oops: nothing, missing: nothing } };
}

/** Adds one hour of one group of hosts. */
export function count(before: Tally, cell: Cell): Tally {
  const one = (metric: RateMetric): Counted => {
    const was = before.rates[metric];
    const baseline = baselineOf(metric, before.history);
    if (isOutage(cell, metric, baseline)) return { ...was, setAside: was.setAside + 1 };
    const patched = { events: countedEvents(cell, metric, baseline), hostDays: cell.patched.hostDays };
    const unpatched = { events: cell.unpatched[metric], hostDays: cell.unpatched.hostDays };
    const sum = (a: typeof none, b: typeof none): typeof none => ({
      events: a.events + b.events,
      hostDays: a.hostDays + b.hostDays,
    });
    return {
      patched: sum(was.patched, patched),
      unpatched: sum(was.unpatched, unpatched),
      sideBySide: addSideBySide(was.sideBySide, patched, unpatched),
      setAside: was.setAside,
    };
  };
  return { history: before.history, rates: { crash: one('crash'), oops: one('oops'), missing: one('missing') } };
}

/**
 * The usual rate. A fleet with ten events in its history is described by them; with fewer, the assumption of `rateRules` is added unless
 * the history contradicts it. One event more than was counted makes the bound hold at all times (see `rateEvidence`).
 */
export function baselineOf(metric: RateMetric, history: Group): Baseline {
  const seen = { events: history[metric] + 1, hostDays: history.hostDays };
  const { usual } = rateRules[metric];
  if (history[metric] >= ASSUMED_EVENTS) return seen;
  if (poissonAtLeast(history[metric], history.hostDays * usual) < 0.05) return seen;
  return {
    events: history[metric] + ASSUMED_EVENTS,
    hostDays: history.hostDays + ASSUMED_EVENTS / usual,
  };
}

/**
 * The patched hosts that count. Where no comparable host is left, a burst within one hour may be a loss of power as well as the release:
 * it counts as two hosts, or as three times what is usual. A release that goes on crashing hosts is halted an hour later; one outage
 * is not enough.
 */
function countedEvents({ patched, unpatched }: Cell, metric: RateMetric, { events, hostDays }: Baseline): number {
  const isAlone = unpatched.hostDays <= 0.05 * patched.hostDays;
  if (!isAlone) return patched[metric];
  return Math.min(patched[metric], Math.max(2, Math.ceil((3 * events * patched.hostDays) / hostDays)));
}

/**
 * True if the unpatched hosts of the group failed in numbers that their usual rate does not explain (below 1 in a million), and the
 * patched hosts not much more often than they: loss of power, of the network, of a switch. Such an hour says nothing about the release.
 */
function isOutage({ patched, unpatched }: Cell, metric: RateMetric, { events, hostDays }: Baseline): boolean {
  if (unpatched[metric] < 3) return false;
  if (poissonAtLeast(unpatched[metric], (events / hostDays) * unpatched.hostDays) > 1e-6) return false;
  const all = patched[metric] + unpatched[metric];
  const share = patched.hostDays / (patched.hostDays + unpatched.hostDays);
  const isWorse = patched[metric] > 3 * share * all && binomialAtLeast(patched[metric], all, share) < 1e-3;
  return !isWorse;
}

/** What one metric says. */
export interface Finding {
  readonly metric: Metric;
  /** The e-value, and how much of it counts towards the limit. */
  readonly evidence: number;
  readonly contribution: number;
  readonly events: number;
  /** Host-days of patched hosts, or loads. */
  readonly of: number;
  /** What the usual rate (or the permitted share) predicts. */
  readonly expected: number;
  readonly baseline: Baseline | undefined;
  readonly unpatched: { readonly events: number; readonly hostDays: number } | undefined;
  readonly setAside: number;
  /** The unpatched hosts have become worse too, so only the comparison side by side counts. */
  readonly onlySideBySide: boolean;
}

export interface Judgement {
  /** The weighted mean of all e-values. */
  readonly evidence: number;
  /** The rollout is halted when `evidence` reaches it: 1 / ERROR. */
  readonly limit: number;
  readonly halts: boolean;
  /** The metric that contributes most. */
  readonly leading: Finding;
  readonly findings: readonly Finding[];
}

/** With so much evidence against the unpatched hosts, the history no longer describes the fleet. */
const CHANGED = Math.log(20);

/** No e-value is shown or summed beyond this. */
const LARGEST = 1e12;

/** What all metrics together say. */
export function judge(state: Tally, transitions: Transitions, error = ERROR): Judgement {
  const findings = [
    ...rateMetrics.map((metric) => rateFinding(metric, state)),
    ...shareMetrics.map((metric): Finding => {
      const { weight, allowed } = shareRules[metric];
      const evidence = limited(shareEvidence(transitions[metric], transitions.tried, allowed));
      return {
        metric,
        evidence,
        contribution: weight * evidence,
        events: transitions[metric],
        of: transitions.tried,
        expected: allowed * transitions.tried,
        baseline: undefined,
        unpatched: undefined,
        setAside: 0,
        onlySideBySide: false,
      };
    }),
  ];
  const evidence = findings.reduce((sum, { contribution }) => sum + contribution, 0);
  const leading = findings.reduce((a, b) => (b.contribution > a.contribution ? b : a));
  return { evidence, limit: 1 / error, halts: evidence >= 1 / error, leading, findings };
}

function rateFinding(metric: RateMetric, { history, rates }: Tally): Finding {
  const { patched, unpatched, sideBySide, setAside } = rates[metric];
  const baseline = baselineOf(metric, history);
  const onlySideBySide = rateEvidence(unpatched.events, unpatched.hostDays, baseline) >= CHANGED;
  // Both are e-values of the same hypothesis, so their weighted mean is one.
  const before = onlySideBySide ? 0 : 0.9 * limited(rateEvidence(patched.events, patched.hostDays, baseline));
  const evidence = before + 0.1 * limited(sideBySideEvidence(sideBySide));
  return {
    metric,
    evidence,
    contribution: rateRules[metric].weight * evidence,
    events: patched.events,
    of: patched.hostDays,
    expected: (patched.hostDays * baseline.events) / baseline.hostDays,
    baseline,
    unpatched,
    setAside,
    onlySideBySide,
  };
}

/** How many times the usual rate the patched hosts' rate is, at all times with error 0.05 for both bounds together; undefined for shares. */
export function ratioOf({
  events,
  of,
  baseline,
}: Finding): { readonly least: number; readonly most: number } | undefined {
  return baseline === undefined ? undefined : ratioBounds(events, of, baseline, 0.025);
}

function limited(logarithm: number): number {
  return Math.min(Math.exp(logarithm), LARGEST);
}

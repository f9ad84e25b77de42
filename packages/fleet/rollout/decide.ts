/** The state machine of a rollout: from what is stored and what was observed to what happens next, and why. It changes nothing itself. */
import { plural } from 'kpatch/parts';
import type { Judgement } from './evidence.ts';
import { neededHostDays } from './plan.ts';
import { duration, figure, haltText, type Reason, time } from './reason.ts';
import type { RingPlan } from './ring.ts';
import { isOpen, nextOpening } from './window.ts';

export const rolloutStates = ['draft', 'running', 'paused', 'halted', 'finished', 'rolled back'] as const;
export type RolloutState = (typeof rolloutStates)[number];

/** A ring waits, then is open; when nearly all hosts have the release it soaks, then it is done. */
export const ringStates = ['waiting', 'open', 'soaking', 'done', 'rolled back'] as const;
export type RingState = (typeof ringStates)[number];

export interface Ring extends RingPlan {
  readonly state: RingState;
  /** When it was opened, and when its soak time began (milliseconds). */
  readonly opened: number | undefined;
  readonly settled: number | undefined;
}

export interface Freeze {
  readonly from: number;
  /** Undefined: until somebody lifts it. */
  readonly to: number | undefined;
  readonly reason: string;
  readonly by: string;
  /** Only hosts with this label; undefined: the whole fleet. */
  readonly group?: string;
}

export interface Rollout {
  readonly id: string;
  readonly state: RolloutState;
  /** Who paused or halted it and why, in words. */
  readonly reason: string;
  readonly rings: readonly Ring[];
  /** How long the whole fleet is watched after the last ring (seconds). */
  readonly watchSeconds: number;
}

/** The hosts of a ring now. */
export interface RingFacts {
  readonly hosts: number;
  readonly patched: number;
  /** Not seen lately and not patched: they are offered the release when they return. */
  readonly away: number;
  /** Their own policy, or a failed load, keeps them from the release. */
  readonly unable: number;
  /** A freeze of their group keeps them from the release for now. */
  readonly frozen?: number;
}

export interface Facts {
  readonly judgement: Judgement;
  /** Host-days of patched hosts so far. */
  readonly hostDays: number;
  readonly rings: readonly RingFacts[];
  readonly freezes: readonly Freeze[];
}

export type Action =
  | { readonly do: 'open' | 'settle' | 'complete'; readonly ring: number }
  | { readonly do: 'halt'; readonly reason: string }
  | { readonly do: 'finish' };

export interface Decision {
  readonly actions: readonly Action[];
  /** Never empty. */
  readonly because: readonly Reason[];
}

/** This share of the hosts that can move must have the release before the soak time begins. */
const SETTLED = 0.9;
/** Evidence of this share of the limit keeps the next ring closed until more is known. */
export const SUSPICION = 0.1;

const wait = (...because: Reason[]): Decision => ({ actions: [], because });

/**
 * What happens next. A halt comes before everything else: also a paused, frozen or finished rollout that is still watched halts. Then come
 * the decisions of people, then the order of the rings.
 */
export function decide(rollout: Rollout, facts: Facts, now: number): Decision {
  const { state, reason } = rollout;
  if (state === 'draft') return wait({ code: 'draft', text: 'Nobody has started it.' });
  if (state === 'halted') return wait({ code: 'halted', text: reason });
  if (state === 'rolled back') return wait({ code: 'rolled-back', text: reason });
  if (facts.judgement.halts) {
    const text = haltText(facts.judgement);
    return { actions: [{ do: 'halt', reason: text }], because: [{ code: 'halted', text }] };
  }
  if (state === 'finished')
    return wait({ code: 'finished', text: 'All rings have the release, and the time of observation is over.' });
  if (state === 'paused') return wait({ code: 'paused', text: reason });
  const freeze = freezeFor(facts.freezes, undefined, now);
  if (freeze !== undefined) return wait(freezeReason(freeze));
  return inOrder(rollout, facts, now);
}

/** The freeze that holds now: of the fleet, or of a group that a host with these labels belongs to. */
export function freezeFor(
  freezes: readonly Freeze[],
  labels: readonly string[] | undefined,
  now: number,
): Freeze | undefined {
  return freezes.find((one) => isNow(one, now) && (one.group === undefined || labels?.includes(one.group) === true));
}

const isNow = ({ from, to }: Freeze, now: number): boolean => from <= now && (to === undefined || now < to);

export function freezeReason({ to, reason, by, group }: Freeze): Reason {
  const until = to === undefined ? 'until somebody lifts it' : `until ${time(to)}`;
  const what = group === undefined ? 'all rollouts' : `the hosts with the label ${group}`;
  const text = `${by} froze ${what} ${until}: ${reason}`;
  return to === undefined ? { code: 'frozen', text } : { code: 'frozen', text, until: to };
}

function inOrder(rollout: Rollout, facts: Facts, now: number): Decision {
  const { rings } = rollout;
  const at = rings.findIndex(({ state }) => state === 'open' || state === 'soaking');
  if (at === -1) {
    const next = rings.findIndex(({ state }) => state === 'waiting');
    return next === -1 ? watch(rollout, facts, now) : openNext(rollout, facts, next);
  }
  const ring = rings[at]!;
  return ring.state === 'open'
    ? moving(ring, at, facts.rings[at]!, facts.freezes, now)
    : soaking(rollout, at, facts, now);
}

/**
 * Where no host runs the kernel yet, every ring would be over as it begins, and the hosts that come later would all get the release at
 * once. A single ring without hosts is skipped.
 */
function openNext({ rings }: Rollout, { rings: facts }: Facts, at: number): Decision {
  if (facts.every(({ hosts }) => hosts === 0))
    return wait({ code: 'empty', text: 'No host of the fleet has reported that it runs the kernel.' });
  const ring = rings[at]!;
  const size = plural(facts[at]!.hosts, 'host');
  return {
    actions: [{ do: 'open', ring: at }],
    because: [{ code: 'ready', text: `Ring ${ring.name} opens for ${size}.` }],
  };
}

/** A ring is open: hosts load the release. */
function moving(
  ring: Ring,
  at: number,
  { hosts, patched, away, unable, frozen = 0 }: RingFacts,
  freezes: readonly Freeze[],
  now: number,
): Decision {
  const able = hosts - away - unable - frozen;
  const needed = Math.ceil(able * SETTLED);
  if (hosts === 0)
    return {
      actions: [{ do: 'settle', ring: at }],
      because: [{ code: 'empty', text: `Ring ${ring.name} has no hosts.` }],
    };
  if (patched >= Math.max(needed, 1))
    return {
      actions: [{ do: 'settle', ring: at }],
      because: [
        {
          code: 'ready',
          text: `${patched} of ${able} hosts of ring ${ring.name} have the release: its soak time begins.`,
        },
      ],
    };
  const others = [
    away > 0 && `${plural(away, 'host')} away`,
    unable > 0 && `${plural(unable, 'host')} cannot load it`,
    frozen > 0 && `${plural(frozen, 'host')} frozen`,
  ]
    .filter((one) => one !== false)
    .join(', ');
  const text = `Ring ${ring.name}: ${patched} of ${hosts} hosts have the release, its soak time begins with ${Math.max(needed, 1)}${others === '' ? '' : ` (${others})`}.`;
  if (frozen > 0 && able <= 0)
    return wait(...freezes.filter((one) => one.group !== undefined && isNow(one, now)).map(freezeReason), {
      code: 'moving',
      text,
    });
  if (isOpen(ring.windows, now)) return wait({ code: 'moving', text });
  const opening = nextOpening(ring.windows, now);
  const when = opening === undefined ? 'never' : `at ${time(opening)}`;
  const closed = `The maintenance window of ring ${ring.name} is closed; it opens ${when}.`;
  return wait(
    { code: 'window', text: closed, ...(opening === undefined ? {} : { until: opening }) },
    { code: 'moving', text },
  );
}

/** All of: soak time over, enough host-days for the size of the next ring, no suspicion. */
function soaking({ rings }: Rollout, at: number, { judgement, hostDays, rings: facts }: Facts, now: number): Decision {
  const ring = rings[at]!;
  const because: Reason[] = [];
  const end = (ring.settled ?? now) + ring.soakSeconds * 1000;
  if (now < end && facts[at]!.hosts > 0)
    because.push({
      code: 'soaking',
      text: `Ring ${ring.name} is being observed for ${duration(ring.soakSeconds)}, until ${time(end)}.`,
      until: end,
    });
  const next = rings.findIndex(({ state }, index) => index > at && state === 'waiting');
  const usual = next === -1 ? 0 : Math.min(neededHostDays(facts[next]!.hosts), facts[at]!.patched);
  const needed = next === -1 || ring.hostHours === undefined ? usual : ring.hostHours / 24;
  if (next !== -1 && hostDays < needed)
    because.push({
      code: 'few-host-days',
      text: `${figure(hostDays)} of ${figure(needed)} host-days are observed that ring ${rings[next]!.name} with ${plural(facts[next]!.hosts, 'host')} needs before it.`,
    });
  const suspicion = suspicionOf(judgement);
  if (next !== -1 && suspicion !== undefined) because.push(suspicion);
  if (because.length > 0) return wait(...because);
  return { actions: [{ do: 'complete', ring: at }], because: [{ code: 'ready', text: `Ring ${ring.name} is done.` }] };
}

/** Evidence that does not suffice for a halt but for waiting. */
function suspicionOf({ evidence, limit, leading }: Judgement): Reason | undefined {
  if (evidence < limit * SUSPICION) return undefined;
  const { metric, events } = leading;
  return {
    code: 'suspicion',
    text: `Observing longer because of ${metric === 'crash' ? plural(events, 'crashed host') : `${events} × ${metric}`}: the evidence is ${figure(evidence)}, the next ring needs less than ${figure(limit * SUSPICION)}, a halt ${figure(limit)}.`,
  };
}

/** All rings are done: the fleet is observed until the time is over. */
function watch({ rings, watchSeconds }: Rollout, _: Facts, now: number): Decision {
  const last = Math.max(...rings.map(({ settled }) => settled ?? 0));
  const end = last + watchSeconds * 1000;
  if (now < end)
    return wait({
      code: 'watching',
      text: `All rings have the release. It is observed until ${time(end)}.`,
      until: end,
    });
  return {
    actions: [{ do: 'finish' }],
    because: [{ code: 'finished', text: 'All rings have the release, and the time of observation is over.' }],
  };
}

/**
 * A rollout in a simulated fleet, by the real plan, tests and decisions. Hosts are counted by site, not simulated one by one. The
 * simulation has late reports, hosts that vanish, hosts that an administrator restarts, failed and slow loads, and sites that lose
 * power or network.
 */
import { decide, type Ring, type Rollout } from '#fleet/rollout/decide.ts';
import { type Cell, count, emptyGroup, type Group, judge, tally } from '#fleet/rollout/evidence.ts';
import { planRings, watchSeconds } from '#fleet/rollout/plan.ts';
import { type Random, random } from './random.ts';

export interface World {
  readonly seed: number;
  readonly hosts: number;
  /** Crashes per host and day without the release, and with it. */
  readonly usual: number;
  readonly bad: number;
  /** Days of history before the rollout. */
  readonly historyDays?: number;
  /** Losses of power or network of one site per day. */
  readonly outages?: number;
  readonly sites?: number;
  /** Hosts of the unpatched fleet crash this many times as often as usual from the day given on, patched ones as well. */
  readonly change?: { readonly day: number; readonly times: number };
}

export interface Outcome {
  readonly seed: number;
  readonly halted: boolean;
  readonly metric: string;
  /** Host-days with the release until the halt, all of them, also those not reported yet. */
  readonly hostDays: number;
  readonly crashed: number;
  readonly patched: number;
  readonly rings: number;
  /** When all hosts had the release and the last ring had soaked, in days; undefined if halted before. */
  readonly finishedDay: number | undefined;
  readonly outages: number;
}

/** Days between two looks of the server: 10 minutes, so that a crash is known after 7 minutes on average. */
const TICK = 1 / 144;
const TICKS_IN_HOUR = 6;
const MISSING = 1 / 500;
const START = Date.UTC(2026, 11, 1);

interface Site {
  unpatched: number;
  patched: number;
  cell: Mutable;
  /** Incidents that will be reported at the next look. */
  late: Mutable;
}

type Mutable = { patched: Draft; unpatched: Draft };
type Draft = { -readonly [K in keyof Group]: Group[K] };
const emptyCell = (): Mutable => ({ patched: { ...emptyGroup }, unpatched: { ...emptyGroup } });

/** Runs one rollout until it is halted, or finished and no longer observed. */
export function simulate(world: World): Outcome {
  const { seed, hosts, usual, historyDays = 90, outages = 1 / 30, sites: siteCount = 4 } = world;
  const dice = random(seed);
  const history = { ...emptyGroup, hostDays: hosts * historyDays };
  history.crash = dice.poisson(history.hostDays * usual);
  history.oops = dice.poisson(history.hostDays * usual);
  history.missing = dice.poisson(history.hostDays * MISSING);
  let sums = tally(history);
  const sites: Site[] = Array.from({ length: siteCount }, (_, at) => ({
    unpatched: Math.floor(hosts / siteCount) + (at < hosts % siteCount ? 1 : 0),
    patched: 0,
    cell: emptyCell(),
    late: emptyCell(),
  }));
  const plan = planRings(hosts);
  let rings: Ring[] = plan.map((ring) => ({ ...ring, state: 'waiting', opened: undefined, settled: undefined }));
  let rollout: Rollout = { id: String(seed), state: 'running', reason: '', rings, watchSeconds: watchSeconds(hosts) };
  const transitions = { tried: 0, failed: 0, slow: 0 };
  let [hostDays, crashed, failures, finishedDay] = [0, 0, 0, undefined as number | undefined];
  const done = (halted: boolean, metric: string): Outcome => ({
    seed,
    halted,
    metric,
    hostDays,
    crashed,
    patched: sites.reduce((sum, { patched }) => sum + patched, 0),
    rings: rings.filter(({ state }) => state !== 'waiting').length,
    finishedDay,
    outages: failures,
  });
  for (let tick = 0; ; tick++) {
    const day = tick * TICK;
    const now = START + day * 86_400_000;
    if (dice.next() < outages * TICK) {
      failures++;
      outage(dice, sites[Math.floor(dice.next() * siteCount)]!);
    }
    const times = world.change !== undefined && day >= world.change.day ? world.change.times : 1;
    for (const site of sites) {
      const seen = live(dice, site, usual * times, world.bad * times);
      hostDays += site.patched * TICK;
      crashed += seen;
    }
    if (tick % TICKS_IN_HOUR === TICKS_IN_HOUR - 1)
      for (const site of sites) {
        sums = count(sums, site.cell);
        site.cell = emptyCell();
      }
    const total = sites.reduce((sum, { patched }) => sum + patched, 0);
    const judgement = judge(
      sites.reduce(
        (all, { cell }) => (tick % TICKS_IN_HOUR === TICKS_IN_HOUR - 1 ? all : count(all, cell as Cell)),
        sums,
      ),
      transitions,
    );
    const facts = {
      judgement,
      hostDays,
      freezes: [],
      rings: rings.map(({ share }, at) => {
        const upTo = Math.round(share! * hosts);
        const before = at === 0 ? 0 : Math.round(rings[at - 1]!.share! * hosts);
        const able = upTo - before;
        return {
          hosts: able,
          patched: Math.max(0, Math.min(able, total - before)),
          away: 0,
          unable: transitions.failed,
        };
      }),
    };
    const { actions } = decide(rollout, facts, now);
    for (const action of actions) {
      if (action.do === 'halt') return done(true, judgement.leading.metric);
      if (action.do === 'finish') return done(false, '');
      const { ring } = action;
      const state = action.do === 'open' ? 'open' : action.do === 'settle' ? 'soaking' : 'done';
      rings = rings.map((one, at) =>
        at === ring
          ? { ...one, state, opened: one.opened ?? now, settled: state === 'soaking' ? now : one.settled }
          : one,
      );
      rollout = { ...rollout, rings };
    }
    if (finishedDay === undefined && rings.every(({ state }) => state === 'done')) finishedDay = day;
    const open = rings.findLast(({ state }) => state === 'open' || state === 'soaking');
    if (open !== undefined)
      move(dice, sites, Math.round(open.share! * hosts) - total - transitions.failed, transitions);
  }
}

/** One look's time on one site; what happens is reported at this look or, 1 in 4, at the next. Returns patched hosts that crashed. */
function live(dice: Random, { patched, unpatched, cell, late }: Site, usual: number, bad: number): number {
  const add = (group: 'patched' | 'unpatched', metric: 'crash' | 'oops' | 'missing', events: number): void => {
    const now = dice.binomial(events, 0.75);
    cell[group][metric] += late[group][metric] + now;
    late[group][metric] = events - now;
  };
  const crashes = dice.poisson(patched * bad * TICK);
  // Of hosts that crash, 1 in 20 does not come back: only its missing reports show it.
  const lost = dice.poisson((patched * Math.max(bad - usual, 0) * TICK) / 20);
  add('patched', 'crash', crashes);
  add('patched', 'missing', dice.poisson(patched * MISSING * TICK) + lost);
  add('patched', 'oops', dice.poisson(patched * usual * TICK));
  add('unpatched', 'crash', dice.poisson(unpatched * usual * TICK));
  add('unpatched', 'missing', dice.poisson(unpatched * MISSING * TICK));
  add('unpatched', 'oops', dice.poisson(unpatched * usual * TICK));
  cell.patched.hostDays += patched * TICK;
  cell.unpatched.hostDays += unpatched * TICK;
  return crashes;
}

/** Part of a site loses power (its hosts start without having shut down) or network (its hosts are missing). */
function outage(dice: Random, { patched, unpatched, cell }: Site): void {
  const part = 0.3 + 0.7 * dice.next();
  const metric = dice.next() < 0.5 ? 'crash' : 'missing';
  cell.patched[metric] += dice.binomial(patched, part);
  cell.unpatched[metric] += dice.binomial(unpatched, part);
}

/** A quarter of the hosts that may move do so at each look; 1 in 500 fails, 1 in 100 is slow. */
function move(
  dice: Random,
  sites: readonly Site[],
  left: number,
  transitions: { tried: number; failed: number; slow: number },
): void {
  if (left <= 0) return;
  const rest = sites.reduce((sum, { unpatched }) => sum + unpatched, 0);
  let budget = Math.max(1, Math.ceil(left / 4));
  for (const site of sites) {
    const share = Math.min(
      Math.round((budget * site.unpatched) / Math.max(rest, 1)) + (dice.next() < 0.5 ? 1 : 0),
      site.unpatched,
      budget,
    );
    const failed = dice.binomial(share, 1 / 500);
    transitions.tried += share;
    transitions.failed += failed;
    transitions.slow += dice.binomial(share, 1 / 100);
    site.unpatched -= share - failed;
    site.patched += share - failed;
    budget -= share;
  }
}

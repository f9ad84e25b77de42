import type { RingPlan } from './ring.ts';

const DAY = 86_400;

/** The first ring: large enough to show a patch that crashes 1 in 20 hosts a day, small enough to be affordable. */
const FIRST = { least: 5, most: 200, share: 0.02 };
/** How many times larger each ring is than all before it. */
const GROWTH = 10;

/**
 * Rings for a fleet of this many hosts. They grow tenfold: a crash shows after about 15 minutes (reboot, report, next look), so a ring that
 * is ten times larger for that time adds a tenth of the host-days that the day before it has already covered.
 */
export function planRings(hosts: number, soakSeconds = DAY): RingPlan[] {
  const sizes: number[] = [];
  for (
    let size = Math.min(Math.max(Math.round(hosts * FIRST.share), FIRST.least), FIRST.most);
    size < hosts * 0.7;
    size *= GROWTH
  )
    sizes.push(size);
  return [...sizes, hosts].map((size, at) => ({
    name: at === sizes.length ? 'all' : at === 0 ? 'canary' : `ring ${at + 1}`,
    labels: [],
    share: at === sizes.length ? 1 : size / hosts,
    soakSeconds,
    windows: [],
  }));
}

/**
 * The host-days that must pass before the next ring opens: as many as the next ring has in one hour. So what a bad patch adds between its
 * crashes and their reports stays below a quarter of what was observed before.
 */
export function neededHostDays(nextHosts: number): number {
  return nextHosts / 24;
}

/** Host-days with which a patch that crashes 1 in 2,000 hosts a day is nearly always halted. */
const ENOUGH = 30_000;

/** How long a fleet of this many hosts is observed after the last ring (seconds): until `ENOUGH`, from one day to 30. */
export function watchSeconds(hosts: number): number {
  return Math.round(DAY * Math.min(Math.max(ENOUGH / Math.max(hosts, 1), 1), 30));
}

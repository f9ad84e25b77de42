/** Reads from the database what happened with and without a release, for the tests. */
import type { Queries } from '../store/database.ts';
import { type Cell, count, emptyGroup, type Group, type Tally, type Transitions, tally } from './evidence.ts';
import { type RateMetric, rateMetrics } from './metrics.ts';

const DAY = 86_400;
const HOUR_MS = 3_600_000;
/** How far the history goes back. */
const HISTORY_DAYS = 90;

/** What was usual before a rollout: all kernels and patches. A host counts once a day for each metric. */
export async function readHistory(queries: Queries, started: number): Promise<Group> {
  const span = [new Date(started - HISTORY_DAYS * DAY * 1000), new Date(started)];
  const [time] = await queries.query<{ seconds: number | null }>(
    'select sum(seconds) as seconds from fleet.evidence where hour >= $1 and hour < $2',
    span,
  );
  const events = await queries.query<{ kind: string; hosts: number }>(
    `select kind, count(distinct (host, date_trunc('day', at))) as hosts from fleet.incident
     where at >= $1 and at < $2 and kind = any($3) group by kind`,
    [...span, rateMetrics],
  );
  const of = (kind: RateMetric): number => Number(events.find((one) => one.kind === kind)?.hosts ?? 0);
  return {
    hostDays: Number(time?.seconds ?? 0) / DAY,
    crash: of('crash'),
    oops: of('oops'),
    missing: of('missing'),
  };
}

export interface Observed {
  readonly tally: Tally;
  readonly transitions: Transitions;
  /** Host-days with the release. */
  readonly hostDays: number;
  /** Hosts that could not load it. */
  readonly unable: ReadonlySet<string>;
}

type Draft = { patched: Record<keyof Group, number>; unpatched: Record<keyof Group, number> };

/**
 * What happened since the rollout began on hosts with its kernel. A host counts once for each metric and side, with its first incident.
 * `labelFor` says with which hosts one is compared, also one that has left or boots another kernel since; `patched` is how many hosts have the release now.
 */
export async function observe(
  queries: Queries,
  rollout: { readonly kernel: string; readonly release: string; readonly started: number },
  history: Group,
  labelFor: (host: { readonly labels: readonly string[] }) => string,
  patched: number,
): Promise<Observed> {
  const { kernel, release, started } = rollout;
  const since = new Date(Math.floor(started / HOUR_MS) * HOUR_MS);
  const cells = new Map<string, Draft>();
  const cell = (at: number, label: string): Draft => {
    const key = `${Math.floor(at / HOUR_MS)} ${label}`;
    const found = cells.get(key) ?? { patched: { ...emptyGroup }, unpatched: { ...emptyGroup } };
    cells.set(key, found);
    return found;
  };
  const times = await queries.query<{ hour: Date; label: string; treated: boolean; seconds: number }>(
    `select hour, label, $2 = any(string_to_array(patch, ' ')) as treated, sum(seconds) as seconds from fleet.evidence
     where kernel = $1 and hour >= $3 group by 1, 2, 3`,
    [kernel, release, since],
  );
  for (const { hour, label, treated, seconds } of times)
    cell(hour.getTime(), label)[treated ? 'patched' : 'unpatched'].hostDays += Number(seconds) / DAY;
  const incidents = await queries.query<{ labels: string[]; kind: RateMetric; treated: boolean; at: Date }>(
    `select i.host, i.kind, h.labels, $2 = any(string_to_array(i.patch, ' ')) as treated, min(i.at) as at
     from fleet.incident i join fleet.host h on h.id = i.host
     where i.kernel = $1 and i.at >= $3 and i.kind = any($4) group by 1, 2, 3, 4`,
    [kernel, release, new Date(started), rateMetrics],
  );
  for (const { labels, kind, treated, at } of incidents)
    cell(at.getTime(), labelFor({ labels }))[treated ? 'patched' : 'unpatched'][kind]++;
  const loads = await queries.query<{ host: string; kind: string }>(
    "select distinct host, kind from fleet.incident where patch = $1 and kind in ('failed', 'slow', 'blocked') and at >= $2",
    [release, new Date(started)],
  );
  const hosts = (kind: string): string[] => loads.flatMap((one) => (one.kind === kind ? one.host : []));
  const failed = hosts('failed');
  const drafts: readonly Cell[] = [...cells.entries()]
    .sort(([a], [b]) => Number(a.split(' ')[0]) - Number(b.split(' ')[0]))
    .map(([, one]) => one);
  return {
    tally: drafts.reduce(count, tally(history)),
    transitions: { tried: patched + failed.length, failed: failed.length, slow: hosts('slow').length },
    hostDays: drafts.reduce((sum, one) => sum + one.patched.hostDays, 0),
    unable: new Set([...failed, ...hosts('blocked')]),
  };
}

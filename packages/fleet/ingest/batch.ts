/** Writes reports in batches: one transaction for all that arrived in a moment. An answer is sent after its commit. */
import type { FleetReport } from 'kpatch/fleet';
import type { Database, Queries } from '../store/database.ts';
import { type Condition, conditionOf, modulesOf } from './facts.ts';
import type { KnownHost, Standing } from './hosts.ts';
import type { ChainState, Verdict } from './judge.ts';

/** A report that counts, and what follows from it. */
export interface Accepted {
  readonly host: KnownHost;
  readonly report: FleetReport;
  readonly verdict: Verdict;
  readonly state: ChainState;
  readonly standing: Standing;
  /** When it arrived (milliseconds). */
  readonly now: number;
  readonly patch: string;
  /** Set if its content differs from the one before. */
  readonly content: object | undefined;
  readonly digest: string;
  /** Seconds since the host was heard of, as far as they count as observed. */
  readonly observed: number;
  /** The group that its evidence belongs to. */
  readonly label: string;
}

const time = (ms: number): string => new Date(ms).toISOString();
export const hourOf = (ms: number): string => time(Math.floor(ms / 3_600_000) * 3_600_000);

/** Writes a batch in one transaction. No host may be in it twice. */
export async function writeBatch(database: Database, batch: readonly Accepted[]): Promise<void> {
  await database.transaction(async (queries) => {
    await writeCheckins(queries, batch);
    await writeStandings(queries, batch);
    await writeContents(queries, batch);
    await writeModules(queries, batch);
    await writeEvidence(queries, batch, await writeIncidents(queries, batch));
  });
}

async function writeCheckins(queries: Queries, batch: readonly Accepted[]): Promise<void> {
  const column = <T>(of: (one: Accepted) => T): T[] => batch.map(of);
  await queries.query(
    `update fleet.checkin c set seen = n.seen, counter = n.counter, link = n.link, at = n.at,
       other = case when n.other = '' then '{}' else string_to_array(n.other, ' ') end, machine = n.machine, boot = n.boot,
       kernel = n.kernel, package = n.package, patch = n.patch, condition = n.condition, reports = c.reports + 1, skew = n.skew,
       modules = n.modules, digest = n.digest, changed = case when c.digest = n.digest then c.changed else n.seen end
     from (select * from unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::text[],
       $9::text[], $10::text[], $11::text[], $12::text[], $13::int[], $14::text[], $15::text[])
       as n(host, seen, counter, link, at, other, machine, boot, kernel, package, patch, condition, skew, modules, digest)) n
     where c.host = n.host`,
    [
      column(({ host }) => host.id),
      column(({ now }) => time(now)),
      column(({ state }) => state.counter),
      column(({ state }) => state.link),
      column(({ state }) => time(state.at)),
      column(({ state }) => state.other.join(' ')),
      column(({ state }) => state.machine),
      column(({ report }) => report.boot.id),
      column(({ report }) => report.kernel.release),
      column(({ report }) => report.kernel.package ?? ''),
      column(({ patch }) => patch),
      column(({ report }): Condition => conditionOf(report)),
      column(({ report, now }) => skewSeconds(report.at, now)),
      column(({ report }) => report.modules.digest),
      column(({ digest }) => digest),
    ],
  );
}

/** How far the clock of a host is ahead, in seconds, within what an integer holds. */
function skewSeconds(at: string, now: number): number {
  const seconds = Math.round((Date.parse(at) - now) / 1000);
  return Math.max(-2_000_000_000, Math.min(2_000_000_000, seconds));
}

async function writeStandings(queries: Queries, batch: readonly Accepted[]): Promise<void> {
  for (const { host, standing, now } of batch.filter(({ host, standing }) => host.standing !== standing))
    await queries.query('update fleet.host set standing = $2, standing_since = $3 where id = $1', [
      host.id,
      standing,
      time(now),
    ]);
}

async function writeContents(queries: Queries, batch: readonly Accepted[]): Promise<void> {
  const changed = batch.filter(({ content }) => content !== undefined);
  if (changed.length === 0) return;
  const column = <T>(of: (one: Accepted) => T): T[] => changed.map(of);
  const ids = column(({ host }) => host.id);
  const contents = column(({ content }) => JSON.stringify(content));
  await queries.query(
    `insert into fleet.document select * from unnest($1::text[], $2::jsonb[])
     on conflict (host) do update set content = excluded.content`,
    [ids, contents],
  );
  await queries.query(
    `insert into fleet.report (host, at, counter, boot, link, kernel, patch, condition, content)
     select * from unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::jsonb[])`,
    [
      ids,
      column(({ now }) => time(now)),
      column(({ report }) => report.counter),
      column(({ report }) => report.boot.id),
      column(({ report }) => report.link),
      column(({ report }) => report.kernel.release),
      column(({ patch }) => patch),
      column(({ report }): Condition => conditionOf(report)),
      contents,
    ],
  );
}

async function writeModules(queries: Queries, batch: readonly Accepted[]): Promise<void> {
  const sets = new Map(
    batch.flatMap(({ report }) => {
      const names = modulesOf(report);
      return names === undefined ? [] : [[report.modules.digest, names] as const];
    }),
  );
  for (const [digest, names] of sets)
    await queries.query('insert into fleet.module_set (digest, names) values ($1, $2) on conflict do nothing', [
      digest,
      names,
    ]);
}

export interface NewIncident {
  readonly kind: string;
  readonly kernel: string;
  readonly patch: string;
  readonly label: string;
}

/** Stores the incidents and returns those that were not known. */
async function writeIncidents(queries: Queries, batch: readonly Accepted[]): Promise<NewIncident[]> {
  const all = batch.flatMap((one) => incidentsOf(one));
  if (all.length === 0) return [];
  const labels = new Map(batch.map(({ host, label }) => [host.id, label]));
  const column = <K extends keyof (typeof all)[number]>(name: K) => all.map((one) => one[name]);
  const rows = await queries.query<{ host: string; kind: string; kernel: string; patch: string }>(
    `insert into fleet.incident (host, at, kind, kernel, patch, key, text)
     select * from unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
     on conflict (host, kind, key) do nothing returning host, kind, kernel, patch`,
    [column('host'), column('at'), column('kind'), column('kernel'), column('patch'), column('key'), column('text')],
  );
  return rows.map(({ host, ...one }) => ({ ...one, label: labels.get(host) ?? '' }));
}

/** A clone does not count: nobody knows which of the machines it was. The time is that of the server. */
function incidentsOf({ host, report, standing, now }: Accepted) {
  if (standing === 'cloned') return [];
  return report.incidents.map(({ kind, key, kernel = report.kernel.release, patch = '', text }) => ({
    host: host.id,
    at: time(now),
    kind: kind as string,
    kernel,
    patch,
    key,
    text,
  }));
}

const counted: Readonly<Record<string, string>> = {
  crash: 'crashes',
  oops: 'oopses',
  failed: 'failed',
  slow: 'slow',
  missing: 'missing',
};
const counters = ['crashes', 'oopses', 'failed', 'slow', 'missing', 'transitions'] as const;

export interface Evidence extends Record<(typeof counters)[number], number> {
  readonly hour: string;
  readonly kernel: string;
  readonly patch: string;
  readonly label: string;
  seconds: number;
  reports: number;
}

const counts = { crashes: 0, oopses: 0, failed: 0, slow: 0, missing: 0, transitions: 0 };
export const noEvidence = { seconds: 0, reports: 0, ...counts };

async function writeEvidence(
  queries: Queries,
  batch: readonly Accepted[],
  incidents: readonly NewIncident[],
): Promise<void> {
  const hour = hourOf(batch[0]?.now ?? 0);
  const rows = new Map<string, Evidence>();
  const row = (kernel: string, patch: string, label: string): Evidence => {
    const key = JSON.stringify([kernel, patch, label]);
    const found = rows.get(key) ?? { ...noEvidence, hour, kernel, patch, label };
    rows.set(key, found);
    return found;
  };
  for (const { host, report, patch, observed, label, standing } of batch) {
    if (standing === 'cloned') continue;
    // The time since the last report was spent with what ran then.
    row(host.kernel || report.kernel.release, host.kernel === '' ? patch : host.patch, label).seconds += observed;
    const now = row(report.kernel.release, patch, label);
    now.reports++;
    if (host.kernel !== '' && host.patch !== patch) now.transitions++;
  }
  for (const { kind, kernel, patch, label } of incidents) {
    const name = counted[kind] as (typeof counters)[number] | undefined;
    if (name !== undefined) row(kernel, patch, label)[name]++;
  }
  await addEvidence(queries, [...rows.values()]);
}

/** Adds to what is stored for each hour, kernel, patch and group. No two rows may have the same four. */
export async function addEvidence(queries: Queries, rows: readonly Evidence[]): Promise<void> {
  // In one order in every transaction, so that two of them cannot wait for each other.
  const sorted = [...rows].sort((a, b) =>
    `${a.kernel} ${a.patch} ${a.label}` < `${b.kernel} ${b.patch} ${b.label}` ? -1 : 1,
  );
  const column = <K extends keyof Evidence>(name: K): Evidence[K][] => sorted.map((one) => one[name]);
  await queries.query(
    `insert into fleet.evidence as e (hour, kernel, patch, label, seconds, reports, ${counters.join(', ')})
     select * from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::float8[], $6::bigint[],
       ${counters.map((_, at) => `$${at + 7}::bigint[]`).join(', ')})
     on conflict (hour, kernel, patch, label) do update set seconds = e.seconds + excluded.seconds, reports = e.reports + excluded.reports,
       ${counters.map((name) => `${name} = e.${name} + excluded.${name}`).join(', ')}`,
    [
      column('hour'),
      column('kernel'),
      column('patch'),
      column('label'),
      column('seconds'),
      column('reports'),
      ...counters.map(column),
    ],
  );
}

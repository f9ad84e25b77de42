/** What the server does by itself: notices hosts that fell silent, and removes what is older than its retention. */
import type { FleetConfig } from '../config.ts';
import { addEvidence, type Evidence, hourOf, noEvidence } from '../ingest/batch.ts';
import type { Database } from '../store/database.ts';

/** The group whose hosts are compared with each other; `Rollouts.labelFor`. */
export type LabelFor = (host: { readonly labels: readonly string[] }) => string;

/**
 * Hosts that fell silent count once for each silence, as evidence against what they ran, in the group that `labelFor` names: the group in
 * which their observed time counts too. Returns how many are new.
 */
export async function noteSilent(
  database: Database,
  intervalSeconds: number,
  since: Date,
  now: Date,
  labelFor: LabelFor,
): Promise<number> {
  // A server that was away itself heard of nobody: only silence that began while it listened counts.
  const silentSeconds = 3 * intervalSeconds;
  const before = new Date(now.getTime() - silentSeconds * 1000);
  if (before < since) return 0;
  return await database.transaction(async (queries) => {
    const rows = await queries.query<{ kernel: string; patch: string; labels: string[] }>(
      `with silent as (
         select c.host, c.kernel, c.patch, c.seen, h.labels from fleet.checkin c join fleet.host h on h.id = c.host
         where h."left" is null and h.standing <> 'cloned' and c.reports > 0 and c.seen < $2 and c.seen >= $3),
       noted as (
         insert into fleet.incident (host, at, kind, kernel, patch, key, text)
         select host, $1, 'missing', kernel, patch, seen::text, 'no report for three intervals' from silent
         on conflict (host, kind, key) do nothing returning host)
       select kernel, patch, labels from silent join noted using (host)`,
      [now, before, since],
    );
    const evidence = new Map<string, Evidence>();
    for (const { kernel, patch, labels } of rows) {
      const label = labelFor({ labels });
      const key = JSON.stringify([kernel, patch, label]);
      const one = evidence.get(key) ?? { ...noEvidence, hour: hourOf(now.getTime()), kernel, patch, label };
      one.missing++;
      evidence.set(key, one);
    }
    if (evidence.size > 0) await addEvidence(queries, [...evidence.values()]);
    return rows.length;
  });
}

/** Removes what is older than its retention, in parts, so that no transaction takes long. Returns how many rows. */
export async function prune(database: Database, { retention }: Pick<FleetConfig, 'retention'>): Promise<number> {
  const days = (count: number): string => `now() - interval '${count} days'`;
  const rules = [
    `fleet.report where id in (select id from fleet.report where at < ${days(retention.reportDays)} limit 10000)`,
    `fleet.incident where id in (select id from fleet.incident where at < ${days(retention.incidentDays)} limit 10000)`,
    `fleet.audit where id in (select id from fleet.audit where at < ${days(retention.auditDays)} limit 10000)`,
    `fleet.evidence where hour < ${days(retention.incidentDays)}`,
    'fleet.session where expires < now()',
    `fleet.host where "left" < ${days(retention.goneDays)}`,
    `fleet.module_set m where at < ${days(30)} and not exists (select 1 from fleet.checkin c where c.modules = m.digest)`,
  ];
  let removed = 0;
  for (const rule of rules) {
    for (;;) {
      const rows = await database.query(`delete from ${rule} returning 1`);
      removed += rows.length;
      if (rows.length < 10_000) break;
    }
  }
  return removed;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Runs both until it is stopped. A database that cannot be reached is tried again at the next turn. */
export function startHousekeeping(
  database: Database,
  config: FleetConfig,
  labelFor: LabelFor,
): { stop(): Promise<void> } {
  const since = new Date();
  let pruned = 0;
  let running: Promise<unknown> = Promise.resolve();
  const turn = async (): Promise<void> => {
    await noteSilent(database, config.intervalSeconds, since, new Date(), labelFor);
    if (Date.now() - pruned < HOUR_MS) return;
    pruned = Date.now();
    await prune(database, config);
  };
  const timer = setInterval(() => {
    running = running.then(turn).catch(() => {});
  }, MINUTE_MS);
  return {
    stop: async () => {
      clearInterval(timer);
      await running;
    },
  };
}

/** What the server knows, as the API and the pages read it. */
import type { Database, Row } from './database.ts';

export interface HostFilter {
  readonly search?: string | undefined;
  readonly kernel?: string | undefined;
  readonly patch?: string | undefined;
  readonly condition?: string | undefined;
  readonly label?: string | undefined;
  readonly standing?: string | undefined;
  /** Only hosts after this id. */
  readonly after?: string | undefined;
  readonly limit: number;
}

/** A list is cut at this length; `after` continues it. */
export const MOST_HOSTS = 1000;

export interface HostRow {
  readonly id: string;
  readonly name: string;
  readonly labels: string[];
  readonly standing: string;
  readonly seen: string;
  readonly kernel: string;
  readonly package: string;
  readonly patch: string;
  readonly condition: string;
  readonly reports: number;
}

const hostColumns = `h.id, h.name, h.labels, h.standing, c.seen, c.kernel, c.package, c.patch, c.condition, c.reports`;

function hostRow(row: Row): HostRow {
  return { ...(row as unknown as HostRow), seen: (row.seen as Date).toISOString(), reports: Number(row.reports) };
}

/** Hosts by id. */
export async function findHosts(database: Database, filter: HostFilter): Promise<HostRow[]> {
  const values: unknown[] = [];
  const conditions = ['h."left" is null'];
  const add = (text: string, value: unknown): void => {
    if (value === undefined || value === '') return;
    values.push(value);
    conditions.push(text.replaceAll('?', `$${values.length}`));
  };
  add('h.id > ?', filter.after);
  // The text of a search is not a pattern.
  add("(h.name ilike '%' || ? || '%' or h.id = lower(?))", filter.search?.replace(/[\\%_]/g, '\\$&'));
  add('c.kernel = ?', filter.kernel);
  add("(c.patch = ? or ? = 'none' and c.patch = '')", filter.patch);
  add('c.condition = ?', filter.condition);
  add('? = any(h.labels)', filter.label);
  add('h.standing = ?', filter.standing);
  values.push(Math.min(Math.max(1, filter.limit), MOST_HOSTS));
  const rows = await database.query(
    `select ${hostColumns} from fleet.host h join fleet.checkin c on c.host = h.id
     where ${conditions.join(' and ')} order by h.id limit $${values.length}`,
    values,
  );
  return rows.map(hostRow);
}

/** One host with its last report and what went wrong there; undefined if it does not exist. */
export async function hostDetail(database: Database, id: string): Promise<object | undefined> {
  const [row] = await database.query(
    `select ${hostColumns}, h.enrolled, h."left", h.standing_since, c.boot, c.skew, c.changed, d.content
     from fleet.host h join fleet.checkin c on c.host = h.id left join fleet.document d on d.host = h.id where h.id = $1`,
    [id],
  );
  if (row === undefined) return undefined;
  const incidents = await database.query(
    'select at, kind, kernel, patch, text from fleet.incident where host = $1 order by id desc limit 100',
    [id],
  );
  const history = await database.query(
    'select at, counter, kernel, patch, condition from fleet.report where host = $1 order by id desc limit 100',
    [id],
  );
  return { ...hostRow(row), incidents, history };
}

export interface Group {
  readonly kernel: string;
  readonly package: string;
  readonly patch: string;
  readonly condition: string;
  readonly hosts: number;
  /** Hosts that were not heard of for three intervals. */
  readonly silent: number;
}

/**
 * How many hosts run what: there are few groups however many hosts there are. `now` is of the clock by which reports arrive, not that of
 * a database on another machine.
 */
export async function groups(database: Database, silentSeconds: number, now = Date.now()): Promise<Group[]> {
  return await database.query<Group & Row>(
    `select c.kernel, c.package, c.patch, c.condition, count(*)::int as hosts,
       count(*) filter (where c.seen < $1::timestamptz)::int as silent
     from fleet.checkin c join fleet.host h on h.id = c.host where h."left" is null group by 1, 2, 3, 4 order by hosts desc`,
    [new Date(now - silentSeconds * 1000)],
  );
}

export interface Exposure {
  readonly cve: string;
  readonly title: string;
  readonly severity: string;
  readonly exploited: boolean;
  /** Hosts with the flaw, hosts whose live patch fixes it, and hosts of which it is not known. */
  readonly exposed: number;
  readonly fixed: number;
  readonly unknown: number;
  /** Since when the first of the exposed kernels was known to have the flaw. */
  readonly since: string;
}

/**
 * For each CVE how many hosts are exposed. A host counts as fixed only if every digest that it reports is known and one of them
 * fixes the CVE; a patch that nobody knows makes the answer unknown, never fixed.
 */
export async function exposures(database: Database, cve?: string): Promise<Exposure[]> {
  const rows = await database.query(
    `with running as (
       select c.kernel, c.patch, count(*)::int as hosts from fleet.checkin c join fleet.host h on h.id = c.host
       where h."left" is null group by 1, 2),
     known as (
       select r.kernel, r.patch, r.hosts, coalesce(array_agg(distinct f) filter (where f is not null), '{}') as cves,
         bool_or(one <> '' and l.digest is null) as strange
       from running r cross join lateral unnest(string_to_array(case when r.patch = '' then ' ' else r.patch end, ' ')) as one
       left join fleet.release l on l.digest = one left join lateral unnest(l.cves) as f on true group by 1, 2, 3)
     select v.id as cve, v.title, v.severity, v.exploited, min(k.since) as since,
       coalesce(sum(w.hosts) filter (where k.answer = 'open' and not v.id = any(w.cves) and not w.strange), 0)::int as exposed,
       coalesce(sum(w.hosts) filter (where k.answer = 'open' and v.id = any(w.cves)), 0)::int as fixed,
       coalesce(sum(w.hosts) filter (where k.answer = 'unknown' and not v.id = any(w.cves)
         or k.answer = 'open' and not v.id = any(w.cves) and w.strange), 0)::int as unknown
     from fleet.kernel_cve k join fleet.cve v on v.id = k.cve join known w on w.kernel = k.kernel
     where k.answer in ('open', 'unknown') and ($1::text is null or v.id = $1)
     group by 1, 2, 3, 4 order by exposed desc, unknown desc, v.id desc`,
    [cve ?? null],
  );
  return rows.map((row) => ({ ...(row as unknown as Exposure), since: (row.since as Date).toISOString() }));
}

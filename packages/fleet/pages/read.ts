/** What the pages show, read from the database: counts by group, and lists that go on after the last row that was shown. */

import { readRollouts, type StoredRollout } from '../rollout/store.ts';
import type { Database } from '../store/database.ts';
import type { RolloutPage } from './rollout.ts';

/** Hosts that run the same kernel and patches. */
export interface Running {
  readonly kernel: string;
  /** Digests, joined by spaces. */
  readonly patch: string;
  readonly hosts: number;
  readonly silent: number;
}

export async function readRunning(database: Database, silentSeconds: number): Promise<Running[]> {
  return await database.query<Running & Record<string, unknown>>(
    `select c.kernel, c.patch, count(*)::int as hosts,
       count(*) filter (where c.seen < now() - make_interval(secs => $1))::int as silent
     from fleet.checkin c join fleet.host h on h.id = c.host where h."left" is null group by 1, 2 order by hosts desc, 1, 2`,
    [silentSeconds],
  );
}

export interface Release {
  readonly digest: string;
  readonly name: string;
  readonly kernel: string;
  readonly version: number;
  readonly cves: readonly string[];
}

export async function readReleases(database: Database): Promise<Map<string, Release>> {
  const rows = await database.query<Release & Record<string, unknown>>(
    'select digest, name, kernel, version::int as version, cves from fleet.release',
  );
  return new Map(rows.map((row) => [row.digest, row]));
}

/** How many hosts a CVE concerns, by kernel and patch. */
export interface CveGroup {
  readonly kernel: string;
  readonly patch: string;
  readonly hosts: number;
  readonly answer: string;
  readonly since: number;
}

export interface CveFacts {
  readonly id: string;
  readonly title: string;
  readonly severity: string;
  readonly exploited: boolean;
  readonly groups: readonly CveGroup[];
}

/** One CVE on the hosts that run now; undefined if the server does not know it. */
export async function readCve(
  database: Database,
  id: string,
  running: readonly Running[],
): Promise<CveFacts | undefined> {
  const [cve] = await database.query('select id, title, severity, exploited from fleet.cve where id = $1', [id]);
  if (cve === undefined) return undefined;
  const rows = await database.query<{ kernel: string; answer: string; since: Date }>(
    'select kernel, answer, since from fleet.kernel_cve where cve = $1',
    [id],
  );
  const answers = new Map(rows.map((row) => [row.kernel, row]));
  return {
    id,
    title: String(cve.title),
    severity: String(cve.severity),
    exploited: cve.exploited === true,
    groups: running.flatMap(({ kernel, patch, hosts }) => {
      const found = answers.get(kernel);
      return found === undefined ? [] : { kernel, patch, hosts, answer: found.answer, since: found.since.getTime() };
    }),
  };
}

/** Whether a host of a group has the flaw: fixed only if every patch of it is known and one of them fixes the CVE. */
export function answerOf(
  { answer, patch }: CveGroup,
  cve: string,
  releases: ReadonlyMap<string, Release>,
): 'exposed' | 'fixed' | 'unknown' | 'not affected' {
  if (answer !== 'open' && answer !== 'unknown') return 'not affected';
  const loaded = patch === '' ? [] : patch.split(' ').map((digest) => releases.get(digest));
  if (loaded.some((one) => one?.cves.includes(cve) === true)) return 'fixed';
  return answer === 'unknown' || loaded.includes(undefined) ? 'unknown' : 'exposed';
}

/** The page of one rollout; undefined if there is none. */
export async function readRolloutPage(database: Database, id: string): Promise<RolloutPage | undefined> {
  const [rollout] = await readRollouts(database, id);
  if (rollout === undefined) return undefined;
  const [release] = await database.query('select name, version from fleet.release where digest = $1', [
    rollout.release,
  ]);
  const looks = await database.query<{ at: Date; data: RolloutPage['points'][number] }>(
    "select at, data from fleet.rollout_event where rollout = $1 and kind = 'look' order by id",
    [id],
  );
  const events = await database.query<{ at: Date; kind: string; text: string }>(
    "select at, kind, text from fleet.rollout_event where rollout = $1 and kind <> 'look' order by id desc limit 200",
    [id],
  );
  return {
    rollout,
    name: release === undefined ? undefined : `${release.name}, version ${release.version},`,
    points: thinned(looks).map(({ at, data }) => ({ ...data, at: at.getTime() })),
    events: events.map(({ at, kind, text }) => ({ at: at.getTime(), kind, text })),
  };
}

/** At most 600 points: more cannot be seen. */
function thinned<T>(rows: readonly T[]): T[] {
  const every = Math.ceil(rows.length / 600);
  return rows.filter((_, at) => at % every === 0 || at === rows.length - 1);
}

/** Rollouts that are not over, and the last that are. */
export async function readRecentRollouts(database: Database): Promise<StoredRollout[]> {
  return (await readRollouts(database)).slice(0, 5);
}

/** Rollouts in the database: reading them, and what a person or the state machine changes. Every change is an event, and those of people are in the audit log. */
import type { Queries, Row } from '../store/database.ts';
import type { Facts, Freeze, Ring, RingState, RolloutState } from './decide.ts';
import type { Offer } from './grant.ts';
import type { Reason } from './reason.ts';
import type { Window } from './window.ts';

/** What the server concluded when it looked last. */
export interface Look {
  readonly at: number;
  readonly because: readonly Reason[];
  readonly facts: Pick<Facts, 'judgement' | 'hostDays' | 'rings'>;
}

export interface StoredRollout extends Offer {
  readonly title: string;
  readonly kernel: string;
  readonly created: number;
  readonly createdBy: string;
  readonly started: number | undefined;
  /** When its time of observation was over; only in the state `finished`. */
  readonly finished: number | undefined;
  readonly look: Look | undefined;
}

interface Settings {
  readonly watchSeconds?: number;
  readonly started?: number;
  readonly look?: Look;
}

interface RingSettings {
  readonly hostHours?: number;
  readonly windows?: readonly Window[];
  readonly settled?: number;
}

const ms = (value: unknown): number | undefined => (value instanceof Date ? value.getTime() : undefined);

/** All rollouts or one, newest first. */
export async function readRollouts(queries: Queries, id?: string): Promise<StoredRollout[]> {
  const where = id === undefined ? '' : 'where id = $1';
  const values = id === undefined ? [] : [id];
  const rollouts = await queries.query(`select * from fleet.rollout ${where} order by id desc limit 1000`, values);
  if (rollouts.length === 0) return [];
  const rings = await queries.query('select * from fleet.ring where rollout = any($1) order by rollout, position', [
    rollouts.map((one) => one.id),
  ]);
  return rollouts.map((row) =>
    rolloutOf(
      row,
      rings.filter(({ rollout }) => Number(rollout) === Number(row.id)),
    ),
  );
}

function rolloutOf(row: Row, rings: readonly Row[]): StoredRollout {
  const settings = row.settings as Settings;
  return {
    id: String(row.id),
    title: String(row.title),
    kernel: String(row.kernel),
    release: String(row.release),
    previous: String(row.previous),
    state: row.state as RolloutState,
    reason: String(row.reason),
    created: ms(row.created) ?? 0,
    createdBy: String(row.created_by),
    started: settings.started,
    finished: row.state === 'finished' ? ms(row.changed) : undefined,
    watchSeconds: settings.watchSeconds ?? 0,
    look: settings.look,
    rings: rings.map(ringOf),
  };
}

function ringOf(row: Row): Ring {
  const { windows = [], settled, hostHours } = row.settings as RingSettings;
  return {
    name: String(row.name),
    labels: row.labels as string[],
    share: row.share === null ? undefined : Number(row.share),
    soakSeconds: Number(row.soak_seconds),
    windows,
    ...(hostHours === undefined ? {} : { hostHours }),
    state: row.state as RingState,
    opened: ms(row.started),
    settled,
  };
}

export interface NewRollout {
  readonly title: string;
  readonly kernel: string;
  readonly release: string;
  readonly previous: string;
  readonly watchSeconds: number;
  readonly rings: readonly Omit<Ring, 'state' | 'opened' | 'settled'>[];
}

/** Stores a draft and returns its id. */
export async function insertRollout(queries: Queries, rollout: NewRollout, by: string, now: number): Promise<string> {
  const { title, kernel, release, previous, watchSeconds, rings } = rollout;
  const [row] = await queries.query<{ id: number }>(
    `insert into fleet.rollout (title, kernel, release, previous, state, settings, created, created_by)
     values ($1, $2, $3, $4, 'draft', $5, $6, $7) returning id`,
    [title, kernel, release, previous, JSON.stringify({ watchSeconds }), new Date(now), by],
  );
  const id = String(row!.id);
  for (const [position, { name, labels, share, soakSeconds, windows, hostHours }] of rings.entries())
    await queries.query(
      'insert into fleet.ring (rollout, position, name, labels, share, soak_seconds, settings) values ($1, $2, $3, $4, $5, $6, $7)',
      [id, position, name, labels, share ?? null, soakSeconds, JSON.stringify({ windows, hostHours })],
    );
  return id;
}

/** Changes the state of a rollout; `reason` is shown on its page and to its hosts. */
export async function setState(
  queries: Queries,
  id: string,
  state: RolloutState,
  reason: string,
  now: number,
): Promise<void> {
  await queries.query(
    `update fleet.rollout set state = $2, reason = $3, changed = $4::timestamptz,
       settings = case when $2 = 'running' and not settings ? 'started' then settings || $5::jsonb else settings end where id = $1`,
    [id, state, reason, new Date(now), JSON.stringify({ started: now })],
  );
}

export async function setRing(
  queries: Queries,
  id: string,
  position: number,
  state: RingState,
  now: number,
): Promise<void> {
  const settled = state === 'soaking' ? JSON.stringify({ settled: now }) : '{}';
  await queries.query(
    `update fleet.ring set state = $3, started = case when $3 = 'open' then $4::timestamptz else started end,
       finished = case when $3 = 'done' then $4::timestamptz else finished end, settings = settings || $5::jsonb
     where rollout = $1 and position = $2`,
    [id, position, state, new Date(now), settled],
  );
}

export async function setLook(queries: Queries, id: string, look: Look): Promise<void> {
  await queries.query('update fleet.rollout set settings = settings || $2::jsonb where id = $1', [
    id,
    JSON.stringify({ look }),
  ]);
}

/** Notes something that happened to a rollout. */
export async function addEvent(
  queries: Queries,
  id: string,
  now: number,
  kind: string,
  text: string,
  data: object = {},
): Promise<void> {
  await queries.query('insert into fleet.rollout_event (rollout, at, kind, text, data) values ($1, $2, $3, $4, $5)', [
    id,
    new Date(now),
    kind,
    text,
    JSON.stringify(data),
  ]);
}

export async function readFreezes(queries: Queries): Promise<Freeze[]> {
  const [row] = await queries.query<{ value: Freeze[] }>("select value from fleet.setting where name = 'freezes'");
  return row?.value ?? [];
}

export async function writeFreezes(queries: Queries, freezes: readonly Freeze[]): Promise<void> {
  await queries.query(
    `insert into fleet.setting (name, value) values ('freezes', $1::jsonb)
     on conflict (name) do update set value = excluded.value, changed = now()`,
    [JSON.stringify(freezes)],
  );
}

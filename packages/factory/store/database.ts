/** The database of a factory: PostgreSQL in this process (PGlite) by default, or a server. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { failure, lock } from 'kpatch/parts';
import { PgBoss } from 'pg-boss';

type Adapter = ReturnType<PgBoss['getDb']>;

export interface Database {
  /** True for the embedded database: no other process works on the queue. */
  readonly alone: boolean;
  /** Runs SQL; with several statements, the rows of all of them. */
  query(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
  /** The queue on this database, not started yet. */
  boss(): PgBoss;
  close(): Promise<void>;
}

/** How often a server is asked for workers that give no sign of life: by default one would be noticed up to a minute later. */
const supervision = { superviseIntervalSeconds: 10, monitorIntervalSeconds: 10 } as const;

/** Raised with every change of the tables. */
const VERSION = 1;

const tables = `
create schema if not exists factory;
create table if not exists factory.version (version int not null);
create table if not exists factory.pointer (name text primary key, digest text not null, changed timestamptz not null default now());
create table if not exists factory.decision (id bigint generated always as identity primary key, subject text not null, word text not null,
  reason text not null, who text not null, at timestamptz not null default now());
create table if not exists factory.event (id bigint generated always as identity primary key, at timestamptz not null default now(),
  kind text not null, kernel text not null, data jsonb not null);
insert into factory.version select ${VERSION} where not exists (select 1 from factory.version);`;

/**
 * Opens the database of the factory in `home`, or the server at `url`, and makes its tables.
 * Errors: `factory-database`; `locked` if another process has the embedded database open.
 */
export async function openDatabase(home: string, url: string | undefined): Promise<Database> {
  const name = url === undefined ? join(home, 'database') : url.replace(/:[^:@/]*@/, ':…@');
  const database = url === undefined ? await embedded(home, name) : await served(url, name);
  try {
    // Two workers may start at once; one of them waits here.
    await database.query(`begin; select pg_advisory_xact_lock(7283645); ${tables} commit;`);
    const [row] = await database.query('select version from factory.version');
    if (row?.version !== VERSION)
      throw new Error(`its tables have version ${row?.version}, this program needs ${VERSION}`);
  } catch (error) {
    await database.close();
    throw problem(name, error);
  }
  return database;
}

function problem(database: string, cause: unknown): Error {
  const text = cause instanceof Error ? cause.message : String(cause);
  return failure('factory-database', { database, problem: text }, { cause });
}

/** PGlite takes no lock of its own, and two processes on one folder damage it. */
async function embedded(home: string, name: string): Promise<Database> {
  mkdirSync(home, { recursive: true });
  // A process that has just ended takes a moment to let go.
  const held = await lock(join(home, 'database.lock'), `the database in ${home}`, { waitMs: 3000 });
  try {
    const { PGlite } = await import('@electric-sql/pglite');
    const versionFile = join(name, 'PG_VERSION');
    const stored = existsSync(versionFile) ? readFileSync(versionFile, 'utf8').trim() : undefined;
    const db = await PGlite.create(name).catch((error: unknown) => {
      const hint = stored === undefined ? '' : ` (its files are of PostgreSQL ${stored})`;
      throw new Error(`${error instanceof Error ? error.message : String(error)}${hint}`);
    });
    const query: Database['query'] = async (text, values = []) => {
      if (values.length > 0) return (await db.query<Record<string, unknown>>(text, [...values])).rows;
      return (await db.exec(text)).flatMap(({ rows }) => rows as Record<string, unknown>[]);
    };
    const adapter: Adapter = {
      executeSql: async (text: string, values?: unknown[]) => ({ rows: await query(text, values ?? []) }),
    };
    const close = async (): Promise<void> => {
      await db.close();
      held.release();
    };
    return { alone: true, query, boss: () => new PgBoss({ db: adapter }), close };
  } catch (error) {
    held.release();
    throw problem(name, error);
  }
}

async function served(url: string, name: string): Promise<Database> {
  const boss = new PgBoss({ connectionString: url, max: 4, ...supervision });
  boss.on('error', () => {}); // A lost connection shows where it is used.
  const db = boss.getDb() as Adapter & { open?(): Promise<void>; close?(): Promise<void> };
  try {
    await db.open?.();
    const query: Database['query'] = async (text, values = []) => (await db.executeSql(text, [...values])).rows ?? [];
    await query('select 1');
    const close = async (): Promise<void> => {
      await boss.stop({ graceful: false }).catch(() => {});
      await db.close?.();
    };
    return { alone: false, query, boss: () => boss, close };
  } catch (error) {
    await db.close?.();
    throw problem(name, error);
  }
}

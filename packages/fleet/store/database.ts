/** The database of a fleet server: PostgreSQL in this process (PGlite) by default, or a PostgreSQL server. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { failure, lock } from 'kpatch/parts';
import { migrations } from './tables.ts';

export type Row = Record<string, unknown>;

/** Runs SQL statements; inside `transaction` all of them take effect or none. */
export interface Queries {
  /** Runs one statement with values for $1, $2, … and returns its rows. */
  query<R extends Row = Row>(text: string, values?: readonly unknown[]): Promise<R[]>;
}

export interface Database extends Queries {
  /** True for the embedded database, which only one process can open. */
  readonly embedded: boolean;
  /** Runs `work` in a transaction. It is rolled back if `work` throws. */
  transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T>;
  /** Runs several statements without values. */
  script(text: string): Promise<void>;
  close(): Promise<void>;
}

/** One number for the lock that keeps two programs from migrating at once. */
const MIGRATION_LOCK = 7_283_651;

/**
 * Opens the database in `home`, or the server at `url`, and brings its tables to the version of this program.
 * Errors: `fleet-database`; `locked` if another process has the embedded database open.
 */
export async function openDatabase(home: string, url: string | undefined): Promise<Database> {
  const name = url === undefined ? join(home, 'database') : url.replace(/:[^:@/]*@/, ':…@');
  const database = url === undefined ? await embedded(home, name) : await served(url, name);
  try {
    await migrate(database);
  } catch (error) {
    await database.close();
    throw problem(name, error);
  }
  return database;
}

/** Runs the migrations that the database does not have yet and returns how many those were. */
async function migrate(database: Database): Promise<number> {
  return await database.transaction(async (queries) => {
    await queries.query(`select pg_advisory_xact_lock(${MIGRATION_LOCK})`);
    await queries.query('create schema if not exists fleet');
    await queries.query('create table if not exists fleet.version (version int not null)');
    const [row] = await queries.query<{ version: number }>('select version from fleet.version');
    const version = row?.version ?? 0;
    if (version > migrations.length)
      throw new Error(
        `its tables have version ${version}, this program knows ${migrations.length}; use a newer kpatch-fleet`,
      );
    const missing = migrations.slice(version);
    for (const migration of missing) for (const statement of statementsOf(migration)) await queries.query(statement);
    await queries.query('delete from fleet.version');
    await queries.query('insert into fleet.version values ($1)', [migrations.length]);
    return missing.length;
  });
}

/** The statements of a migration: the tables hold no text with a semicolon. */
function statementsOf(migration: string): string[] {
  return migration
    .replace(/^--.*$/gm, '')
    .split(';')
    .map((one) => one.trim())
    .filter((one) => one !== '');
}

function problem(database: string, cause: unknown): Error {
  const text = cause instanceof Error ? cause.message : String(cause);
  return failure('fleet-database', { database, problem: text }, { cause });
}

/** PGlite takes no lock of its own, and two processes on one folder damage it. */
async function embedded(home: string, name: string): Promise<Database> {
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const held = await lock(join(home, 'database.lock'), `the database in ${home}`, { waitMs: 3000 });
  try {
    const { PGlite } = await import('@electric-sql/pglite');
    const file = join(name, 'PG_VERSION');
    const stored = existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined;
    const db = await PGlite.create(name).catch((error: unknown) => {
      const hint = stored === undefined ? '' : ` (its files are of PostgreSQL ${stored})`;
      throw new Error(`${error instanceof Error ? error.message : String(error)}${hint}`);
    });
    return {
      embedded: true,
      query: async <R extends Row>(text: string, values: readonly unknown[] = []) =>
        (await db.query<R>(text, [...values])).rows,
      transaction: async (work) =>
        await db.transaction((tx) =>
          work({
            query: async <R extends Row>(text: string, values: readonly unknown[] = []) =>
              (await tx.query<R>(text, [...values])).rows,
          }),
        ),
      script: async (text) => void (await db.exec(text)),
      close: async () => {
        await db.close();
        held.release();
      },
    };
  } catch (error) {
    held.release();
    throw problem(name, error);
  }
}

async function served(url: string, name: string): Promise<Database> {
  const { default: pg } = await import('pg');
  // 20 is the OID of bigint: counters and ids stay below 2^53.
  const types = {
    getTypeParser: ((oid: number, format?: 'text') =>
      oid === 20 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
  };
  const pool = new pg.Pool({ connectionString: url, max: 8, types, connectionTimeoutMillis: 10_000 });
  // A lost connection shows where it is used, also one that is lost in the middle of a transaction.
  pool.on('error', () => {});
  pool.on('connect', (client) => void client.on('error', () => {}));
  try {
    await pool.query('select 1');
  } catch (error) {
    await pool.end();
    throw problem(name, error);
  }
  return {
    embedded: false,
    query: async <R extends Row>(text: string, values: readonly unknown[] = []) =>
      (await pool.query<R>(text, [...values])).rows,
    transaction: async (work) => {
      const client = await pool.connect();
      let broken: Error | undefined;
      try {
        await client.query('begin');
        const result = await work({
          query: async <R extends Row>(text: string, values: readonly unknown[] = []) =>
            (await client.query<R>(text, [...values])).rows,
        });
        await client.query('commit');
        return result;
      } catch (error) {
        await client.query('rollback').catch((lost: Error) => {
          broken = lost;
        });
        throw error;
      } finally {
        client.release(broken);
      }
    },
    script: async (text) => void (await pool.query(text)),
    close: async () => await pool.end(),
  };
}

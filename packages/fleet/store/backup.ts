/** Backup and restore: all tables as lines of JSON, which any version of the database can read. */
import { once } from 'node:events';
import { createReadStream, createWriteStream, renameSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createGunzip, createGzip } from 'node:zlib';
import { failure } from 'kpatch/parts';
import type { Database } from './database.ts';
import { migrations, tableNames } from './tables.ts';

/** Writes a consistent state of all tables. Returns the number of rows. */
export async function backup(database: Database, file: string): Promise<number> {
  const part = `${file}.part`;
  const zip = createGzip();
  const out = createWriteStream(part, { mode: 0o600 });
  const written = new Promise<void>((resolve, reject) => {
    out.on('finish', resolve).on('error', reject);
    zip.on('error', reject);
  });
  zip.pipe(out);
  const write = async (value: object): Promise<void> => {
    if (!zip.write(`${JSON.stringify(value)}\n`)) await once(zip, 'drain');
  };
  let rows = 0;
  try {
    await write({ schema: 'kpatch.fleet-backup/1', version: migrations.length, at: new Date().toISOString() });
    await database.transaction(async (queries) => {
      await queries.query('set transaction isolation level repeatable read, read only');
      for (const table of tableNames) {
        await queries.query(
          `declare rows_of_${table} no scroll cursor for select to_jsonb(t) as row from fleet.${table} t`,
        );
        for (;;) {
          const some = await queries.query<{ row: object }>(`fetch 1000 from rows_of_${table}`);
          for (const { row } of some) await write({ table, row });
          rows += some.length;
          if (some.length < 1000) break;
        }
      }
    });
    await write({ end: rows });
    zip.end();
    await written;
    renameSync(part, file);
    return rows;
  } catch (error) {
    zip.destroy();
    rmSync(part, { force: true });
    throw error;
  }
}

/** Reads a backup into a database without hosts and accounts; all of it or nothing. Error: `fleet-backup`. */
export async function restore(database: Database, file: string): Promise<number> {
  const bad = (problem: string, cause?: unknown): Error =>
    failure('fleet-backup', { file, problem }, { where: { file }, cause });
  const [used] = await database.query(
    'select (select count(*) from fleet.host) + (select count(*) from fleet.account) as n',
  );
  if (Number(used!.n) > 0) throw bad('the database already has hosts or accounts');
  const known: ReadonlySet<string> = new Set(tableNames);
  let rows = 0;
  let ended = false;
  try {
    await database.transaction(async (queries) => {
      let head = false;
      let waiting: { table: string; rows: object[] } = { table: '', rows: [] };
      const flush = async (): Promise<void> => {
        const { table, rows: some } = waiting;
        if (some.length > 0)
          await queries.query(
            `insert into fleet.${table} overriding system value select * from jsonb_populate_recordset(null::fleet.${table}, $1::jsonb)`,
            [JSON.stringify(some)],
          );
        waiting = { table: '', rows: [] };
      };
      const lines = createInterface({
        input: createReadStream(file).pipe(createGunzip()),
        crlfDelay: Number.POSITIVE_INFINITY,
      });
      for await (const line of lines) {
        const one = JSON.parse(line) as {
          schema?: string;
          version?: number;
          table?: string;
          row?: object;
          end?: number;
        };
        if (!head) {
          if (one.schema !== 'kpatch.fleet-backup/1') throw bad('it is not a backup of a fleet server');
          if ((one.version ?? 0) > migrations.length) throw bad('a newer version of kpatch-fleet made it');
          head = true;
        } else if (one.end !== undefined) ended = one.end === rows;
        else if (one.table !== undefined && one.row !== undefined && known.has(one.table)) {
          if (waiting.table !== one.table || waiting.rows.length >= 500) {
            await flush();
            waiting.table = one.table;
          }
          waiting.rows.push(one.row);
          rows++;
        } else throw bad('it has a line that is not a row');
      }
      await flush();
      if (!ended) throw bad('its end is missing');
      await restartIdentities(queries);
    });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'fleet-backup') throw error;
    throw bad(error instanceof Error ? error.message : String(error), error);
  }
  return rows;
}

/** New rows get numbers after those of the backup. */
async function restartIdentities(queries: Pick<Database, 'query'>): Promise<void> {
  const columns = await queries.query<{ table_name: string; column_name: string }>(
    "select table_name, column_name from information_schema.columns where table_schema = 'fleet' and is_identity = 'YES'",
  );
  for (const { table_name: table, column_name: column } of columns)
    await queries.query(
      `select setval(pg_get_serial_sequence('fleet.${table}', '${column}'), coalesce((select max(${column}) from fleet.${table}), 0) + 1, false)`,
    );
}

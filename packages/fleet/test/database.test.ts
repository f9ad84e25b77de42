/** The database: migrations, both kinds, what cannot be opened. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from 'kpatch/parts';
import { readConfig } from '#fleet/config.ts';
import { type Database, openDatabase } from '#fleet/store/database.ts';
import { tableNames } from '#fleet/store/tables.ts';
import { PostgresServer } from '../../kpatch/test/postgres.ts';
import { provokes } from '../../kpatch/test/provoke.ts';

async function hasAllTables(database: Database): Promise<void> {
  const rows = await database.query<{ table_name: string }>(
    "select table_name from information_schema.tables where table_schema = 'fleet' and table_name <> 'version'",
  );
  assert.deepEqual(rows.map(({ table_name }) => table_name).sort(), [...tableNames].sort());
  await assert.rejects(
    database.transaction(async (queries) => {
      await queries.query("insert into fleet.setting values ('a', '1')");
      throw new Error('stop');
    }),
    /stop/,
  );
  assert.deepEqual(await database.query('select * from fleet.setting'), []);
}

test('the embedded database: tables are made once, opened again, and by one process at a time', async () => {
  using folder = temporaryFolder('kpatch-fleet-');
  const database = await openDatabase(folder.path, undefined);
  await hasAllTables(database);
  await database.query("insert into fleet.setting values ('kept', '2')");
  await provokes('locked', () => openDatabase(folder.path, undefined));
  await database.close();
  await new Promise((resolve) => setTimeout(resolve, 200));
  const again = await openDatabase(folder.path, undefined);
  assert.equal((await again.query('select * from fleet.setting')).length, 1);
  await again.query('update fleet.version set version = 1000');
  await again.close();
  await new Promise((resolve) => setTimeout(resolve, 200));
  const error = await provokes('fleet-database', () => openDatabase(folder.path, undefined));
  assert.match(error.message, /version 1000/);
});

test('PostgreSQL: the same tables; two programs may migrate at once', async () => {
  await using server = await PostgresServer.start();
  using folder = temporaryFolder('kpatch-fleet-');
  const [one, two] = await Promise.all([openDatabase(folder.path, server.url), openDatabase(folder.path, server.url)]);
  await hasAllTables(one!);
  await one!.close();
  await two!.close();
  await server.kill();
  await provokes('fleet-database', () => openDatabase(folder.path, server.url));
});

test('settings: defaults, paths, what is not valid', async () => {
  using folder = temporaryFolder('kpatch-fleet-');
  assert.equal(readConfig(folder.path).intervalSeconds, 300);
  const write = (settings: object): void =>
    writeFileSync(join(folder.path, 'fleet.json'), JSON.stringify({ schema: 'kpatch.fleet/1', ...settings }));
  write({ tls: { certificate: 'a.pem', key: '/b.pem' } });
  assert.deepEqual(readConfig(folder.path).tls, { certificate: join(folder.path, 'a.pem'), key: '/b.pem' });
  for (const wrong of [{ none: 1 }, { intervalSeconds: 1 }, { listen: { port: 70_000 } }]) {
    write(wrong);
    await provokes('fleet-config', () => readConfig(folder.path));
  }
});

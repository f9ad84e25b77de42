/** An empty embedded database with all tables: making one costs ten seconds of a processor, copying one nothing. */
import { join } from 'node:path';
import { openDatabase } from '#fleet/store/database.ts';
import { copyDatabase, prepared } from '../../kpatch/test/prepared.ts';

const madeFrom = [
  join(import.meta.dirname, '../store/database.ts'),
  join(import.meta.dirname, '../store/tables.ts'),
  join(import.meta.dirname, '../../../node_modules/@electric-sql/pglite/package.json'),
];

async function make(folder: string): Promise<void> {
  await (await openDatabase(folder, undefined)).close();
}

/** Puts one into the folder of a fleet server that has none yet. */
export async function giveDatabase(home: string): Promise<void> {
  copyDatabase(await prepared('fleet-database', madeFrom, make), home);
}

/** An empty embedded database with all tables: making one costs ten seconds of a processor, copying one nothing. */
import { join } from 'node:path';
import { Queue } from '#factory/queue/queue.ts';
import { openDatabase } from '#factory/store/database.ts';
import { copyDatabase, prepared } from '../../kpatch/test/prepared.ts';

const modules = join(import.meta.dirname, '../../../node_modules');
const madeFrom = [
  join(import.meta.dirname, '../store/database.ts'),
  join(import.meta.dirname, '../queue/queue.ts'),
  join(modules, '@electric-sql/pglite/package.json'),
  join(modules, 'pg-boss/package.json'),
];

async function make(folder: string): Promise<void> {
  const database = await openDatabase(folder, undefined);
  await (await Queue.open(database)).close();
  await database.close();
}

/** Puts one into the folder of a factory that has none yet. */
export async function giveDatabase(home: string): Promise<void> {
  copyDatabase(await prepared('factory-database', madeFrom, make), home);
}

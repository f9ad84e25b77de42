/** An empty embedded database with all tables: making one costs ten seconds of a processor, copying one nothing. */
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from 'kpatch/parts';
import { Queue } from '#factory/queue/queue.ts';
import { openDatabase } from '#factory/store/database.ts';

let made: Promise<string> | undefined;

async function make(): Promise<string> {
  const folder = temporaryFolder('kpatch-database-').path;
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const database = await openDatabase(folder, undefined);
  await (await Queue.open(database)).close();
  await database.close();
  return join(folder, 'database');
}

/** Puts one into the folder of a factory that has none yet. */
export async function giveDatabase(home: string): Promise<void> {
  if (existsSync(join(home, 'database'))) return;
  made ??= make();
  mkdirSync(home, { recursive: true });
  cpSync(await made, join(home, 'database'), { recursive: true });
}

/**
 * What several test files need and what takes long to make: the first of them makes it below `build/test`, the others copy it.
 * The name holds a digest of what it is made from, so that another version makes its own; `make clean` removes all of it.
 */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { lock } from '#kpatch/base/process/lock.ts';

const place = join(import.meta.dirname, '../../../build/test');

/**
 * A folder that `make` filled, for reading or copying only.
 * @param madeFrom files whose content decides what is made
 */
export async function prepared(
  name: string,
  madeFrom: readonly string[],
  make: (folder: string) => Promise<void>,
): Promise<string> {
  const hash = createHash('sha256');
  for (const file of madeFrom) hash.update(readFileSync(file)).update('\0');
  const folder = join(place, `${name}-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(folder)) return folder;
  // Test files run beside each other; the others wait as long as making it may take on a busy machine.
  using _ = await lock(join(place, `${name}.lock`), `the prepared ${name}`, { waitMs: 1_200_000 });
  if (existsSync(folder)) return folder;
  const unfinished = `${folder}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  await make(unfinished);
  renameSync(unfinished, folder);
  return folder;
}

/** Copies the embedded database of a prepared folder into `home`, unless one is there. */
export function copyDatabase(made: string, home: string): void {
  const target = join(home, 'database');
  if (existsSync(target)) return;
  mkdirSync(home, { recursive: true });
  cpSync(join(made, 'database'), target, { recursive: true });
}

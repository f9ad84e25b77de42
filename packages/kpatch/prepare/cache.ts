/** The cache of prepared kernels: one folder for each, `manifest.json` in it is written last and makes it complete. */
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, utimesSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { run, runOk } from '../base/run.ts';
import { cacheRoot } from '../base/workspace.ts';

/** The folder of one kernel; `key` is its release, with a suffix where the user gave its parts. */
export function kernelFolder(key: string): string {
  return join(cacheRoot(), 'kernels', key);
}

/** The lock beside it, which outlives the folder. */
export function kernelLock(key: string): string {
  return join(cacheRoot(), 'kernels', `.${key}.lock`);
}

/**
 * A second lock that programs which write into a kernel's folder hold as long as they live: where kpatch itself is killed,
 * what it started may go on writing for a while.
 */
export function writersLock(key: string): string {
  return join(cacheRoot(), 'kernels', `.${key}.writers`);
}

/** Waits until no program of a killed kpatch writes into the folder any more. Error: `locked` after a minute. */
export async function awaitWriters(key: string): Promise<void> {
  const { status } = await run('flock', ['-x', '-w', '60', writersLock(key), 'true']);
  if (status !== 0) throw failure('locked', { what: `the kernel ${key}` }, { where: { file: writersLock(key) } });
}

export function packagesFolder(): string {
  return join(cacheRoot(), 'packages');
}

/**
 * Remembers that a kernel is used now, as the time of its lock file. Another user's cache may be read-only: that is not an
 * error.
 */
export function noteUse(key: string): void {
  const now = new Date();
  try {
    utimesSync(kernelLock(key), now, now);
  } catch {
    // see above
  }
}

/** Held, shared, while packages are downloaded and unpacked. */
export function packagesLock(): string {
  return join(packagesFolder(), '.lock');
}

/** Folders of what was derived from the kernel of this key (facts.ts): compiled originals, object maps. */
export function derivedFolders(key: string): string[] {
  const folder = join(cacheRoot(), 'derived');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.startsWith(`${key}-`) && !name.slice(key.length + 1).includes('-'))
    .map((name) => join(folder, name));
}

/** Releases with a folder in the cache, complete or not, sorted. */
export function cachedReleases(): string[] {
  const folder = join(cacheRoot(), 'kernels');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => !name.startsWith('.'))
    .sort();
}

/** Text of a kernel's manifest; undefined if it is not complete. */
export function manifestText(release: string): string | undefined {
  try {
    return readFileSync(join(kernelFolder(release), 'manifest.json'), 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Removes a folder of which parts are read-only. It gets another name first: a program that was left behind by a killed
 * kpatch and still unpacks into it cannot then write into its successor.
 */
export async function removeFolder(path: string): Promise<void> {
  if (!existsSync(path)) return;
  const trash = join(dirname(path), `.trash-${randomBytes(6).toString('hex')}`);
  renameSync(path, trash);
  await runOk('chmod', ['-R', 'u+w', trash]).catch(() => {});
  for (let attempt = 0; attempt < 3; attempt++) {
    const { status } = await run('rm', ['-rf', '--one-file-system', trash]);
    if (status === 0) return;
  }
}

/** Removes what was on its way to be removed when a kpatch was killed. Call it with no removal under way. */
export async function emptyTrash(): Promise<void> {
  const folder = join(cacheRoot(), 'kernels');
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder).filter((entry) => entry.startsWith('.trash-'))) {
    await run('chmod', ['-R', 'u+w', join(folder, name)]);
    await run('rm', ['-rf', '--one-file-system', join(folder, name)]);
  }
}

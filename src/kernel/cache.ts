/** The cache of prepared kernels: one folder for each, `manifest.json` in it is written last and makes it complete. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { runOk } from '../util/run.ts';

/** `$XDG_CACHE_HOME/kpatch`, else `/var/cache/kpatch` for root and `~/.cache/kpatch` for others. */
export function cacheRoot(): string {
  const base = process.env.XDG_CACHE_HOME;
  if (base !== undefined && isAbsolute(base)) return join(base, 'kpatch');
  return process.getuid?.() === 0 ? '/var/cache/kpatch' : join(homedir(), '.cache', 'kpatch');
}

/** The folder of one kernel; `key` is its release, with a suffix where the user gave its parts. */
export function kernelFolder(key: string): string {
  return join(cacheRoot(), 'kernels', key);
}

/** The lock beside it, which outlives the folder. */
export function kernelLock(key: string): string {
  return join(cacheRoot(), 'kernels', `.${key}.lock`);
}

export function packagesFolder(): string {
  return join(cacheRoot(), 'packages');
}

/** Folders of what was derived from a kernel of this release (facts.ts): compiled originals, object maps. */
export function derivedFolders(release: string): string[] {
  const folder = join(cacheRoot(), 'derived');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.startsWith(`${release}-`) && !name.slice(release.length + 1).includes('-'))
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

/** Text of a kernel's manifest; undefined where it is not complete. */
export function manifestText(release: string): string | undefined {
  try {
    return readFileSync(join(kernelFolder(release), 'manifest.json'), 'utf8');
  } catch {
    return undefined;
  }
}

/** Removes a folder of which parts are read-only. */
export async function removeFolder(path: string): Promise<void> {
  if (!existsSync(path)) return;
  await runOk('chmod', ['-R', 'u+w', path]).catch(() => {});
  await runOk('rm', ['-rf', '--one-file-system', path]);
}

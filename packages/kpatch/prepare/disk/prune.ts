/**
 * Makes the cache smaller. What is in use stays: an entry is removed only while its lock is held here. The rest goes in the
 * order of what it costs to make again: leftovers, downloaded packages, kept guests, compiled units, then whole kernels with
 * their data, and build roots that no kernel needs any more;
 * within each of these the entry goes first that was not used for the longest time.
 */
import { lstatSync, rmSync } from 'node:fs';
import { KpatchError } from '../../base/errors/error.ts';
import { type Lock, lock } from '../../base/process/lock.ts';
import { derivedFolders, kernelLock, packagesLock, removeFolder } from '../cache.ts';
import { type CacheEntry, type CacheKind, cacheEntries } from './entries.ts';
import type { CacheLimits } from './limits.ts';

export interface PruneResult {
  readonly removed: readonly CacheEntry[];
  /** What the limits ask to remove, but a running kpatch uses. */
  readonly kept: readonly CacheEntry[];
  /** Bytes of the whole cache. */
  readonly before: number;
  readonly after: number;
}

/** A lock that was just released, as that of a kernel's compiled units, takes a moment to be free. */
const WAIT_MS = 3000;

const order: readonly CacheKind[] = ['leftover', 'code', 'packages', 'lists', 'guest', 'objects', 'kernel', 'root'];

/**
 * Removes leftovers, then what is older than the limit, then as much as is needed for the size. With `dryRun` nothing is removed
 * and the result says what would be. Errors: `tool-failed`, `tool-missing`.
 */
export async function pruneCache(
  limits: CacheLimits,
  options: { dryRun?: boolean; now?: Date } = {},
): Promise<PruneResult> {
  const entries = await cacheEntries();
  const before = total(entries);
  const removed: CacheEntry[] = [];
  const kept: CacheEntry[] = [];
  const gone = new Set<string>();
  let after = before;
  for (const entry of candidates(entries)) {
    if (gone.has(entry.path) || !isAsked(entry, limits, after, options.now ?? new Date())) continue;
    if (entries.some((kernel) => needs(kernel, entry) && !gone.has(kernel.path))) continue;
    if (entry.inUse || (options.dryRun !== true && !(await remove(entry)))) {
      kept.push(entry);
      continue;
    }
    for (const one of entries.filter((other) => goesWith(other, entry) && !gone.has(other.path))) {
      gone.add(one.path);
      removed.push(one);
      after -= one.bytes;
    }
  }
  return { removed, kept, before, after };
}

/** Bytes of all entries. */
export function total(entries: readonly CacheEntry[]): number {
  return entries.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** What may be removed, in the order in which it goes. */
function candidates(entries: readonly CacheEntry[]): CacheEntry[] {
  // A build root that no kernel needs goes before the kernels; that of a kernel, after it.
  const rank = ({ kind, neededBy }: CacheEntry): number =>
    kind === 'root' && neededBy?.length === 0 ? order.indexOf('kernel') - 0.5 : order.indexOf(kind);
  return entries.filter((entry) => rank(entry) >= 0).sort((a, b) => rank(a) - rank(b) || (a.used < b.used ? -1 : 1));
}

function isAsked({ kind, used }: CacheEntry, { maxSize, olderThan }: CacheLimits, size: number, now: Date): boolean {
  if (kind === 'leftover') return true;
  if (olderThan !== undefined && now.getTime() - Date.parse(used) > olderThan) return true;
  return maxSize !== undefined && size > maxSize;
}

/** A kernel takes along what was derived from it. */
function goesWith(other: CacheEntry, entry: CacheEntry): boolean {
  if (other === entry) return true;
  return entry.kind === 'kernel' && other.kernel === entry.kernel && ['derived', 'objects'].includes(other.kind);
}

function needs(kernel: CacheEntry, entry: CacheEntry): boolean {
  return kernel.kind === 'kernel' && entry.neededBy?.includes(kernel.name) === true;
}

/** Removes an entry under its lock; false if another process holds it. */
async function remove(entry: CacheEntry): Promise<boolean> {
  const file = lockOf(entry);
  let held: Lock | undefined;
  try {
    if (file !== undefined) held = await lock(file, entry.name, { waitMs: WAIT_MS });
  } catch (error) {
    if (error instanceof KpatchError && error.code === 'locked') return false;
    throw error;
  }
  try {
    await removePath(entry.path);
    if (entry.kind === 'kernel') for (const folder of derivedFolders(entry.kernel ?? '')) await removePath(folder);
  } finally {
    held?.release();
  }
  return true;
}

/** While a kernel is being prepared, the lock of the packages is held, and the kernel does not name its build root yet. */
function lockOf({ kind, kernel }: CacheEntry): string | undefined {
  if (kind === 'packages' || kind === 'lists' || kind === 'root') return packagesLock();
  return kernel === undefined ? undefined : kernelLock(kernel);
}

async function removePath(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true) await removeFolder(path);
  else rmSync(path, { force: true });
}

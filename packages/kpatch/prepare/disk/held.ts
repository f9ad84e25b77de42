/** Which lock files are held, looked up without taking any lock. */
import { readFileSync, statSync } from 'node:fs';

/** Files with a flock(2) on them, as /proc/locks has them: `MAJOR:MINOR:INODE`, the device in hexadecimal. */
export type Locks = ReadonlySet<string>;

/** The locks that are held now; empty if the kernel does not say. */
export function heldLocks(): Locks {
  try {
    const lines = readFileSync('/proc/locks', 'latin1').split('\n');
    return new Set(lines.flatMap((line) => /\bFLOCK\b.*\s([\da-f]+:[\da-f]+:\d+)\s/.exec(line)?.[1] ?? []));
  } catch {
    return new Set();
  }
}

/** For people; where a filesystem reports another device here than there, `pruneCache` still meets the lock itself. */
export function isHeld(locks: Locks, path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return false;
  // The parts of a device number as makedev(3) joins them.
  const major = ((stat.dev >>> 8) & 0xfff).toString(16).padStart(2, '0');
  const minor = ((stat.dev & 0xff) | ((stat.dev >>> 12) & 0xfff00)).toString(16).padStart(2, '0');
  return locks.has(`${major}:${minor}:${stat.ino}`);
}

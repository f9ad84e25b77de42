/** One kpatch at a time changes the store and the kernel of a machine. */
import { join } from 'node:path';
import { lock } from '../util/lock.ts';
import type { Reporter } from '../util/report.ts';
import type { Machine } from './machine.ts';

/**
 * Runs `work` while holding the machine's lock, which lies in `/run` so that it works with a full or read-only `/var`.
 * Errors: `locked` where another command holds it longer than `waitMs` milliseconds.
 */
export async function withLock<T>(
  machine: Machine,
  report: Reporter,
  waitMs: number,
  work: () => Promise<T>,
): Promise<T> {
  const path = join(machine.run, 'lock');
  const onWait = (): void => report.note('another kpatch is at work on this machine; waiting for it');
  const held = await lock(path, 'the live patches of this machine', { waitMs, onWait });
  try {
    return await work();
  } finally {
    held.release();
  }
}

/** A lock, so that only one kpatch at a time changes the store and the kernel of a machine. */
import { closeSync, constants, fchmodSync, mkdirSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { writeError } from '../../base/files.ts';
import { lock } from '../../base/process/lock.ts';
import type { Reporter } from '../../base/report.ts';
import { keepInside, type Machine } from './machine.ts';

/**
 * Runs `work` with the lock of the machine held. The lock is in `/run`, so that it works with a full or read-only `/var`.
 * Errors: `not-root`; `locked` if another command holds it for longer than `waitMs` milliseconds; `file-unwritable`; `usage`
 * if a link in an image leads out of it.
 */
export async function withLock<T>(
  machine: Machine,
  report: Reporter,
  waitMs: number,
  work: () => Promise<T>,
): Promise<T> {
  if (!machine.offline && !machine.isRoot) throw failure('not-root', {});
  keepInside(machine);
  const path = join(machine.run, 'lock');
  makePrivate(path);
  const onWait = (): void => report.note('waiting for another kpatch on this machine to finish');
  const held = await lock(path, 'the live patches of this machine', { waitMs, onWait });
  try {
    return await work();
  } finally {
    held.release();
  }
}

/** Only root may open the lock file, because anyone who can open it could lock it (flock(2)) and block root's commands. */
function makePrivate(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    const { O_WRONLY, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
    const fd = openSync(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    fchmodSync(fd, 0o600);
    closeSync(fd);
  } catch (error) {
    throw writeError(path, error);
  }
}

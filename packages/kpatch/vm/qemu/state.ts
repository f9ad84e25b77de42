/** Where the guests of this machine keep what they must know of each other; gone after a reboot. */
import { lstatSync, mkdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { writeError } from '../../base/files.ts';
import { sessionFolder } from '../../base/workspace.ts';

/** The folder of this user, made if missing: below `/run` for root, else below the session's or the temporary folder. */
export function stateFolder(): string {
  const uid = process.getuid?.() ?? 0;
  const parent = uid === 0 ? '/run' : (sessionFolder() ?? tmpdir());
  const path = join(parent, `kpatch-vm-${uid}`);
  try {
    mkdirSync(path, { mode: 0o700, recursive: true });
    const info = lstatSync(path);
    if (info.isDirectory() && info.uid === uid) return path;
  } catch (error) {
    throw writeError(path, error);
  }
  // Someone else's folder or a link: in a shared temporary folder that may be a trap.
  throw failure('file-unwritable', { file: path, reason: 'it belongs to another user' }, { where: { file: path } });
}

/** A word that changes with each boot of this machine. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return 'unknown';
  }
}

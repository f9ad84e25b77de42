/**
 * `/run/reboot-required` and `/run/reboot-required.pkgs`, which package managers write and administrators, messages of the day and
 * schedulers of reboots read. kpatch writes them when a reboot is due and nobody has written them, and removes only what it wrote.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KpatchError } from '../base/errors/error.ts';
import { writeAtomically, writeError } from '../base/files.ts';

/** The line of kpatch in the list of packages that need the reboot. */
const PACKAGE = 'kpatch\n';

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Brings the files below `run` (`/run`) in step with `due`, a sentence if a reboot is due. `own` (`/run/kpatch`) remembers what kpatch
 * wrote: a file that another program has written or changed since stays. Errors: `file-unwritable`, `disk-full`.
 */
export function settleRebootFlag(run: string, own: string, due: string | undefined): 'created' | 'removed' | 'kept' {
  try {
    return settle(run, own, due);
  } catch (error) {
    throw error instanceof KpatchError ? error : writeError(join(run, 'reboot-required'), error);
  }
}

function settle(run: string, own: string, due: string | undefined): 'created' | 'removed' | 'kept' {
  const [file, packages, note] = [
    join(run, 'reboot-required'),
    join(run, 'reboot-required.pkgs'),
    join(own, 'reboot-required'),
  ];
  const now = read(file);
  const written = read(note);
  if (due === undefined) {
    if (written === undefined) return 'kept';
    rmSync(note, { force: true });
    // Another package has asked for the reboot since.
    if (now !== written || read(packages) !== PACKAGE) return 'kept';
    rmSync(packages);
    rmSync(file);
    return 'removed';
  }
  if (now !== undefined) return 'kept';
  const text = `*** System restart required ***\nkpatch: ${due}\n`;
  mkdirSync(own, { recursive: true });
  writeAtomically(note, text);
  writeFileSync(file, text, { flag: 'wx', mode: 0o644 });
  if (read(packages) === undefined) writeFileSync(packages, PACKAGE, { flag: 'wx', mode: 0o644 });
  return 'created';
}

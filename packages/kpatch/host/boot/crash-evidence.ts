/**
 * What a crashed kernel left behind: pstore (EFI variables, ERST, ramoops), what systemd-pstore moved out of it, and the
 * kernel logs that kdump saves. A reset button leaves nothing there.
 */
import { closeSync, constants, type Dirent, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from '../machine/machine.ts';
import { isOwn } from '../machine/owner.ts';

/** What is known of the end of a boot. */
export interface CrashEvidence {
  /** The record that speaks loudest; absent if there is none. */
  readonly file?: string;
  /** Modules whose code is in a stack trace of a record. */
  readonly modules: readonly string[];
}

const MOST_FILES = 200;
const MOST_BYTES = 1 << 20;

/** Records written since a boot began. A record of another user, or with a wrong time, does not count. Never throws. */
export function crashEvidence(machine: Machine, since: Date): CrashEvidence {
  const modules = new Set<string>();
  let file: string | undefined;
  for (const path of recordsIn(machine)) {
    const text = textSince(path, since);
    if (text === undefined) continue;
    const named = modulesInTraces(text);
    if (file === undefined || (named.length > 0 && modules.size === 0)) file = path;
    for (const name of named) modules.add(name);
  }
  return { ...(file === undefined ? {} : { file }), modules: [...modules] };
}

/**
 * Modules in the lines of a trace: `RIP: 0010:func+0x10/0x20 [module]`, with a build-id in it since Linux 5.14. The list
 * "Modules linked in" names every module and says nothing.
 */
export function modulesInTraces(text: string): string[] {
  const found = [...text.matchAll(/\+0x[0-9a-f]+\/0x[0-9a-f]+ \[([A-Za-z0-9_]+)(?: [0-9a-f]+)?\]/g)];
  return [...new Set(found.map(([, name]) => name!))];
}

/**
 * `dmesg-efi-1...` and the like, two folders deep: systemd and kdump make one for each crash. Links are not followed: on
 * some distributions everybody can write to /var/crash.
 */
function recordsIn({ crash }: Machine): string[] {
  const files: string[] = [];
  const visit = (folder: string, depth: number): void => {
    for (const entry of entriesIn(folder)) {
      if (files.length >= MOST_FILES) return;
      const path = join(folder, entry.name);
      if (entry.isFile() && /dmesg|console-ramoops/.test(entry.name)) files.push(path);
      else if (entry.isDirectory() && depth > 0) visit(path, depth - 1);
    }
  };
  for (const folder of crash) visit(folder, 2);
  return files;
}

/** What is in a folder, newest name first. */
function entriesIn(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? 1 : -1));
  } catch {
    return [];
  }
}

function textSince(path: string, since: Date): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch {
    return undefined;
  }
  try {
    const stat = fstatSync(fd);
    const { mtime, size } = stat;
    if (mtime < since || !stat.isFile() || !isOwn(stat)) return undefined;
    const bytes = Buffer.alloc(Math.min(size, MOST_BYTES));
    // The end of a long log is what happened last.
    const length = readSync(fd, bytes, 0, bytes.length, Math.max(0, size - MOST_BYTES));
    return bytes.toString('latin1', 0, length);
  } catch {
    return undefined;
  } finally {
    closeSync(fd);
  }
}

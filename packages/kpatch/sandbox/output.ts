/** Reading what a program in a sandbox has made, without being led out of its folder. */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join, relative, sep } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { reasonOf } from '../base/files.ts';
import { entriesBelow } from '../base/walk.ts';

/** No object, note or module of a kernel is larger (bytes). */
const LIMIT = 1 << 30;

/**
 * The bytes of `file` (a path below `root`). It must be a plain file that really is there: the program could have put a
 * link to a secret file in its place, or in the place of a folder above it. Errors: `sandbox-output`,
 * `file-unreadable`.
 */
export function readOutput(root: string, file: string, limit = LIMIT): Buffer {
  const path = join(root, file);
  const refused = (problem: string): Error =>
    failure('sandbox-output', { file: path, problem }, { where: { file: path } });
  let fd: number;
  try {
    // A pipe would keep us waiting: O_NONBLOCK.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ELOOP') throw refused('it is a symbolic link');
    throw failure('file-unreadable', { file: path, reason: reasonOf(error) }, { where: { file: path }, cause: error });
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw refused('it is not a regular file');
    if (stat.size > limit) throw refused(`it has ${stat.size} bytes, more than ${limit}`);
    // Where the system really opened it: the folders above may be links.
    const real = readlinkSync(`/proc/self/fd/${fd}`);
    if (real !== join(realpathSync(root), file)) throw refused(`it points to ${real}`);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Removes the symbolic links below `root` that lead out of it, and says which. To be called when no program is at work there. */
export function dropEscapes(root: string): string[] {
  const real = realpathSync(root);
  const links = Array.from(entriesBelow(real)).filter((entry) => entry.isSymbolicLink());
  const dropped = links.map(({ parentPath, name }) => join(parentPath, name)).filter((path) => leadsOut(path, real));
  for (const path of dropped) rmSync(path);
  return dropped;
}

/**
 * Makes sure that no symbolic link below `root` leads out of it, and that there are only files, folders and links. To be
 * called when no program is at work there. Error: `sandbox-output`.
 */
export function requireNoEscape(root: string): void {
  const real = realpathSync(root);
  for (const entry of entriesBelow(real)) {
    if (entry.isFile() || entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    const refused = (problem: string): Error =>
      failure('sandbox-output', { file: path, problem }, { where: { file: path } });
    if (!entry.isSymbolicLink()) throw refused('it is neither a file nor a folder');
    if (leadsOut(path, real)) throw refused(`it points outside ${relative('/', real)}: ${endOf(path)}`);
  }
}

/**
 * Makes sure that what is done to these paths below `root` happens there: links that programs in a sandbox made may stand for them or their
 * folders. Error: `sandbox-output`.
 */
export function requireInside(root: string, paths: readonly string[]): void {
  const real = realpathSync(root);
  for (const path of paths) {
    if (lstatSync(join(real, path), { throwIfNoEntry: false }) === undefined) continue;
    const file = join(real, path);
    if (!leadsOut(file, real)) continue;
    const problem = `it points outside ${relative('/', real)}: ${endOf(file)}`;
    throw failure('sandbox-output', { file, problem }, { where: { file } });
  }
}

function leadsOut(link: string, root: string): boolean {
  const end = endOf(link);
  return end !== root && !end.startsWith(`${root}${sep}`);
}

/**
 * Makes the links of an unpacked package lead below `root`, as they will where it is installed: absolute targets become
 * relative ones. Error: `sandbox-output` for a link that leads out of the folder all the same.
 */
export function settleLinks(root: string): void {
  const real = realpathSync(root);
  for (const entry of entriesBelow(real)) {
    if (!entry.isSymbolicLink()) continue;
    const path = join(entry.parentPath, entry.name);
    const target = readlinkSync(path);
    if (!target.startsWith('/')) continue;
    rmSync(path);
    symlinkSync(relative(entry.parentPath, join(real, target)) || '.', path);
  }
  requireNoEscape(root);
}

/** Where a link leads; of one that leads nowhere, what it says. */
function endOf(link: string): string {
  try {
    return realpathSync(link);
  } catch {
    const target = readlinkSync(link);
    return target.startsWith('/') ? target : join(link, '..', target);
  }
}

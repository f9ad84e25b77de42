/** Reading what a program in a sandbox has made, without being led out of its folder. */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { reasonOf } from '../base/files.ts';
import { leadsOut } from '../base/inside.ts';
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
  let fd: number;
  try {
    // A pipe would keep us waiting: O_NONBLOCK.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ELOOP') throw refused(path, 'it is a symbolic link');
    throw failure('file-unreadable', { file: path, reason: reasonOf(error) }, { where: { file: path }, cause: error });
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw refused(path, 'it is not a regular file');
    if (stat.size > limit) throw refused(path, `it has ${stat.size} bytes, more than ${limit}`);
    // Where the system really opened it: the folders above may be links.
    const real = readlinkSync(`/proc/self/fd/${fd}`);
    if (real !== join(realpathSync(root), file)) throw refused(path, `it points to ${real}`);
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Makes sure that no symbolic link below `root` leads out of it, and that there are only files, folders and links. With `drop`, links that
 * lead out are removed instead of refused. To be called when no program is at work there. Error: `sandbox-output`.
 */
export function requireNoEscape(root: string, { drop = false }: { readonly drop?: boolean } = {}): void {
  const links: string[] = [];
  for (const entry of entriesBelow(realpathSync(root))) {
    if (entry.isFile() || entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    if (!entry.isSymbolicLink()) throw refused(path, 'it is neither a file nor a folder');
    links.push(path);
  }
  // All are judged before the first one goes, because they lead through each other.
  if (drop) for (const path of links.filter((link) => leadsOut(root, link) !== undefined)) rmSync(path);
  else requireKeptInside(root, links);
}

/**
 * Makes sure that what is done to these paths happens below `root`: links that programs in a sandbox made may stand for them or their
 * folders. Error: `sandbox-output`.
 */
export function requireKeptInside(root: string, paths: readonly string[]): void {
  for (const path of paths) {
    const end = leadsOut(root, path);
    if (end !== undefined) throw refused(path, `it points outside ${relative('/', realpathSync(root))}: ${end}`);
  }
}

function refused(path: string, problem: string): Error {
  return failure('sandbox-output', { file: path, problem }, { where: { file: path } });
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

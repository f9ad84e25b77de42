/** Atomic writes: neither a reader nor a power cut nor a full disk sees a partial file. */
import { randomBytes } from 'node:crypto';
import {
  accessSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { failure, KpatchError } from './errors/error.ts';
import { onExit } from './process/cleanup.ts';
import { ownerMark, sweep } from './process/leftovers.ts';

/**
 * Writes a file by temporary file, fsync, rename, fsync of the folder, so that a crash leaves the old or the new content.
 * Errors: `disk-full`, `file-unwritable`; the temporary file is removed.
 */
export function writeAtomically(path: string, content: string | Uint8Array, mode = 0o644): void {
  sweep(dirname(path));
  const temporary = join(dirname(path), `.${basename(path)}.${ownerMark}.${randomBytes(6).toString('hex')}.tmp`);
  const forget = onExit(() => rmSync(temporary, { force: true }));
  try {
    const fd = openSync(temporary, 'wx', mode);
    try {
      const bytes = typeof content === 'string' ? Buffer.from(content) : content;
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
    syncFolder(dirname(path));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw writeError(path, error);
  } finally {
    forget();
  }
}

/**
 * Checks early whether `writeAtomically` can write a file, before work that takes long.
 * Error: `file-unwritable`.
 */
export function checkWritable(path: string): void {
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK);
  } catch (error) {
    throw writeError(path, error);
  }
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
    throw writeError(path, Object.assign(new Error('EISDIR'), { code: 'EISDIR' }));
  }
}

/** Makes a rename or unlink in this folder durable. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** What a shell hands over by a descriptor, as `<(...)` does. Nobody else can put a pipe there. */
const descriptor = /^(?:\/dev\/stdin|\/dev\/fd\/\d+|\/proc\/self\/fd\/\d+)$/;

/**
 * Reads a whole file, or a descriptor of this process. A named pipe or a device could block for ever or never end, so both
 * are refused wherever they lie. Error: `file-unreadable` with the reason in words.
 */
export function readBytes(path: string): Buffer {
  if (!descriptor.test(path)) return readRegularFile(path);
  try {
    return readFileSync(path);
  } catch (error) {
    throw failure('file-unreadable', { file: path, reason: reasonOf(error) }, { where: { file: path }, cause: error });
  }
}

/** Reads a regular file; a pipe or device could block a boot for ever. `/dev/null` is empty. Error: `file-unreadable`. */
export function readRegularFile(path: string): Buffer {
  const unreadable = (reason: string, cause?: unknown): Error =>
    failure('file-unreadable', { file: path, reason }, { where: { file: path }, cause });
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw unreadable(reasonOf(error), error);
  }
  try {
    const stat = fstatSync(fd);
    if (stat.isFile()) return readFileSync(fd);
    if (path === '/dev/null') return Buffer.alloc(0);
    throw unreadable(reasonOf(stat.isDirectory() ? { code: 'EISDIR' } : { message: 'it is not a regular file' }));
  } catch (error) {
    throw error instanceof KpatchError ? error : unreadable(reasonOf(error), error);
  } finally {
    closeSync(fd);
  }
}

/** The error of the catalogue for a failed write to `path`. */
export function writeError(path: string, error: unknown): KpatchError {
  if (error instanceof KpatchError) return error;
  if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return failure('disk-full', { file: path }, { cause: error });
  return failure('file-unwritable', { file: path, reason: reasonOf(error) }, { where: { file: path }, cause: error });
}

/** A system error in words. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const known: Readonly<Record<string, string>> = {
    ENOENT: 'no such file or folder',
    EACCES: 'permission denied',
    EPERM: 'operation not permitted',
    EISDIR: 'it is a folder',
    ENOTDIR: 'a part of the path is not a folder',
    EROFS: 'the filesystem is read-only',
    EEXIST: 'it already exists',
  };
  return (code === undefined ? undefined : known[code]) ?? message ?? String(error);
}

/** True if the output of a program says that the disk is full; tar says it in words of its own. */
export function saysDiskFull(output: string): boolean {
  return /No space left on device|\bWrote only \d+ of \d+ bytes\b/.test(output);
}

/** A folder that is removed by `dispose` or when the process ends. */
export interface TemporaryFolder {
  readonly path: string;
  dispose(): void;
  [Symbol.dispose](): void;
}

/** Creates a temporary folder in `parent` (default: the temporary folder of the system). */
export function temporaryFolder(prefix: string, parent: string = tmpdir()): TemporaryFolder {
  mkdirSync(parent, { recursive: true });
  sweep(parent);
  const path = mkdtempSync(join(parent, `${prefix}${ownerMark}-`));
  const remove = (): void => rmSync(path, { recursive: true, force: true });
  const forget = onExit(remove);
  const dispose = (): void => {
    forget();
    remove();
  };
  return { path, dispose, [Symbol.dispose]: dispose };
}

/** Writing so that a reader, a power cut or a full disk never meets half a file. */
import { randomBytes } from 'node:crypto';
import {
  accessSync,
  closeSync,
  constants,
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
import { onExit } from './cleanup.ts';
import { fail, KpatchError } from './errors/error.ts';
import { ownerMark, sweep } from './leftovers.ts';

/**
 * Writes a file by temporary file, fsync, rename, fsync of the folder: after any crash the old or the new content is there.
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
 * Looks whether a file could be written where `writeAtomically` will write it, for work that takes long before it has a result.
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

/** Reads a whole file. Error: `file-unreadable` with the reason in words. */
export function readBytes(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw fail('file-unreadable', { file: path, reason: reasonOf(error) }, { where: { file: path }, cause: error });
  }
}

/** The catalogue's error for a failed write to `path`. */
export function writeError(path: string, error: unknown): KpatchError {
  if (error instanceof KpatchError) return error;
  if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return fail('disk-full', { file: path }, { cause: error });
  return fail('file-unwritable', { file: path, reason: reasonOf(error) }, { where: { file: path }, cause: error });
}

/** An error of the system in words. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const known: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file',
    EACCES: 'permission denied',
    EPERM: 'not permitted',
    EISDIR: 'it is a folder',
    ENOTDIR: 'a part of the path is not a folder',
    EROFS: 'the filesystem is read-only',
    EEXIST: 'it exists already',
  };
  return (code === undefined ? undefined : known[code]) ?? message ?? String(error);
}

/** A folder that is removed when `dispose` is called or the process ends, whichever is first. */
export interface TemporaryFolder {
  readonly path: string;
  dispose(): void;
  [Symbol.dispose](): void;
}

/** Makes a temporary folder below `parent` (the system's temporary folder unless told). */
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

/**
 * What was checked is what is loaded: insmod reads its file itself, and any file could have become another one since it was
 * read here. So the checked bytes are written to a folder that only root can enter, and loaded from there.
 */
import { chmodSync, lstatSync, mkdirSync, realpathSync, rmSync } from 'node:fs';
import { join, sep } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { writeAtomically, writeError } from '../../base/files.ts';
import { onExit } from '../../base/process/cleanup.ts';
import type { Machine } from '../machine/machine.ts';
import type { ModuleFile } from './module-file.ts';

export interface OwnCopy extends Disposable {
  readonly path: string;
}

/**
 * A private file with the bytes of a module, until it is disposed of. Where `/run` is full, a module that really is in the
 * store is loaded from there: only root writes to it, and its digest is compared once more just before.
 * Errors: `disk-full`, `file-unwritable`.
 */
export function ownCopy(machine: Machine, module: ModuleFile, path: string): OwnCopy {
  const copy = join(machine.run, 'loading', `${module.name}.ko`);
  const remove = (): void => rmSync(copy, { force: true });
  try {
    makePrivate(machine);
    writeAtomically(copy, module.bytes, 0o600);
  } catch (error) {
    if (!liesIn(machine.store, path)) throw error;
    return { path, [Symbol.dispose]() {} };
  }
  const forget = onExit(remove);
  return {
    path: copy,
    [Symbol.dispose]() {
      forget();
      remove();
    },
  };
}

function makePrivate({ run }: Machine): void {
  const folder = join(run, 'loading');
  try {
    mkdirSync(run, { recursive: true, mode: 0o755 });
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (!lstatSync(folder).isDirectory())
      throw failure('file-unwritable', { file: folder, reason: 'it is not a folder' });
    chmodSync(folder, 0o700);
  } catch (error) {
    throw writeError(folder, error);
  }
}

/** Links and `..` resolved: a path that only begins like the store is not in it. */
function liesIn(folder: string, path: string): boolean {
  try {
    return realpathSync(path).startsWith(`${realpathSync(folder)}${sep}`);
  } catch {
    return false;
  }
}

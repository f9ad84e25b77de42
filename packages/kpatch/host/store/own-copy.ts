/**
 * What was checked is what is loaded: insmod reads its file itself, and a file that others may write could have become another
 * one since it was read here.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join, sep } from 'node:path';
import { onExit } from '../../base/cleanup.ts';
import { writeAtomically, writeError } from '../../base/files.ts';
import type { Machine } from '../machine/machine.ts';
import type { ModuleFile } from './module-file.ts';

export interface OwnCopy extends Disposable {
  readonly path: string;
}

/**
 * The path from which to load a module that lies at `path`: that itself in the store, which only root writes, else a copy of the
 * bytes that were read, until it is disposed of. Errors: `disk-full`, `file-unwritable`.
 */
export function ownCopy(machine: Machine, module: ModuleFile, path: string): OwnCopy {
  if (path.startsWith(`${machine.store}${sep}`)) return { path, [Symbol.dispose]() {} };
  const folder = join(machine.run, 'loading');
  const copy = join(folder, `${module.name}.ko`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw writeError(folder, error);
  }
  writeAtomically(copy, module.bytes, 0o600);
  const remove = (): void => rmSync(copy, { force: true });
  const forget = onExit(remove);
  return {
    path: copy,
    [Symbol.dispose]() {
      forget();
      remove();
    },
  };
}

/**
 * Ensures that the checked module is the one that is loaded: insmod reads the file again, and someone who can write it could
 * have changed it since it was checked.
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
 * The path from which to load a module: `path` itself in the store, which only root can write, or else a copy of the bytes
 * that were read, which exists until it is disposed of. Errors: `disk-full`, `file-unwritable`.
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

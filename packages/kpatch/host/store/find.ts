/** Finds the patch named on the command line: a file, or a patch installed for the running kernel. */
import { statSync } from 'node:fs';
import { failure, KpatchError } from '../../base/errors/error.ts';
import type { Machine } from '../machine/machine.ts';
import { runningKernel } from '../machine/running-kernel.ts';
import { type ModuleFile, readModuleFile } from './module-file.ts';
import { findInstalled, readInstalled } from './store.ts';

/** Errors: `patch-not-found`, `store-damaged`, those of `readModuleFile`. */
export function findModule(machine: Machine, patch: string): ModuleFile {
  // A folder with the name of an installed patch does not count as a file.
  if (statSync(patch, { throwIfNoEntry: false })?.isDirectory() === false) return readModuleFile(patch);
  const { release } = runningKernel(machine);
  const missing = (): Error => failure('patch-not-found', { name: patch, release: release || 'this kernel' });
  if (patch.includes('/') || release === '') throw missing();
  try {
    return readInstalled(findInstalled(machine, release, patch));
  } catch (error) {
    throw error instanceof KpatchError && error.code === 'not-installed' ? missing() : error;
  }
}

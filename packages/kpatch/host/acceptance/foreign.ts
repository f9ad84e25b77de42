/** Modules that are for another machine than this one. An image under `--root` may be of any machine. */
import { failure, type KpatchError } from '../../base/errors/error.ts';
import { machineNameHere } from '../../platform/registry.ts';
import type { ModuleFile } from '../store/module-file.ts';

/** The error `machine-mismatch` for a module that this machine cannot run; undefined for one that it can. */
export function foreignModule({ name, path, arch }: ModuleFile): KpatchError | undefined {
  const machine = machineNameHere();
  return arch === machine ? undefined : failure('machine-mismatch', { name, arch, machine }, { where: { file: path } });
}

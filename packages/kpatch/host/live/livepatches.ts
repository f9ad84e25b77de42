/** The live patches that the kernel has, from `/sys/kernel/livepatch` (Documentation/ABI/testing/sysfs-kernel-livepatch). */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { attribute, flagAttribute, foldersIn, numberAttribute } from '../machine/attribute.ts';
import type { Machine } from '../machine/machine.ts';
import { buildIdIn } from '../machine/running-kernel.ts';

/** A function that a patch replaces; `sympos` counts symbols of that name in the object from 1, 0 where it is the only one. */
export interface PatchedFunction {
  readonly name: string;
  readonly object: string;
  readonly sympos: number;
}

export interface LoadedPatch {
  readonly name: string;
  readonly enabled: boolean;
  readonly transition: boolean;
  /** From `/sys/kernel/livepatch/NAME/replace` (6.12 and later); `undefined` where the kernel does not tell. */
  readonly replace: boolean | undefined;
  readonly objects: readonly PatchedObject[];
  /** `MODULE_VERSION`, where the module has one. */
  readonly version: string | undefined;
  /** Digest of the module's sources, where the module has one. */
  readonly srcversion: string | undefined;
}

export interface PatchedObject {
  /** `vmlinux` or a module. */
  readonly name: string;
  /** True while the object is there and patched (6.1 and later); `undefined` where the kernel does not tell. */
  readonly patched: boolean | undefined;
  readonly functions: readonly PatchedFunction[];
}

/** What a patch is doing, in the words of `kpatch list`. */
export type PatchState = 'enabled' | 'disabled' | 'enabling' | 'disabling';

/** All live patches, by name. A patch whose folder goes while it is read is left out. */
export function loadedPatches(machine: Machine): LoadedPatch[] {
  return foldersIn(livepatchFolder(machine)).flatMap((name) => loadedPatch(machine, name) ?? []);
}

/** One live patch; `undefined` where the kernel has none of that name. */
export function loadedPatch(machine: Machine, name: string): LoadedPatch | undefined {
  const folder = join(livepatchFolder(machine), name);
  const enabled = flagAttribute(join(folder, 'enabled'));
  if (enabled === undefined) return undefined;
  const module = join(machine.sysfs, 'module', name);
  return {
    name,
    enabled,
    transition: flagAttribute(join(folder, 'transition')) ?? false,
    replace: flagAttribute(join(folder, 'replace')),
    objects: foldersIn(folder).map((object) => patchedObject(folder, object)),
    version: attribute(join(module, 'version')),
    srcversion: attribute(join(module, 'srcversion')),
  };
}

export function livepatchFolder(machine: Machine): string {
  return join(machine.sysfs, 'kernel/livepatch');
}

/** While a transition runs, `enabled` says where it goes. */
export function stateOf({ enabled, transition }: LoadedPatch): PatchState {
  if (transition) return enabled ? 'enabling' : 'disabling';
  return enabled ? 'enabled' : 'disabled';
}

export function functionsOf(patch: LoadedPatch): PatchedFunction[] {
  return patch.objects.flatMap(({ functions }) => functions);
}

/** True while the module itself is in the kernel, whether it still has a live patch or was replaced. */
export function moduleLoaded(machine: Machine, name: string): boolean {
  return existsSync(join(machine.sysfs, 'module', name, 'refcnt'));
}

/** Users that hold the module; `undefined` where it is not loaded. */
export function moduleUsers(machine: Machine, name: string): number | undefined {
  return numberAttribute(join(machine.sysfs, 'module', name, 'refcnt'));
}

/** The build-id of a loaded module; `undefined` where the kernel does not tell. */
export function moduleBuildId(machine: Machine, name: string): string | undefined {
  return buildIdIn(join(machine.sysfs, 'module', name, 'notes/.note.gnu.build-id'));
}

function patchedObject(patch: string, object: string): PatchedObject {
  const folder = join(patch, object);
  const functions = foldersIn(folder).map((entry) => {
    const comma = entry.lastIndexOf(',');
    return { name: entry.slice(0, comma), object, sympos: Number(entry.slice(comma + 1)) };
  });
  return { name: object, patched: flagAttribute(join(folder, 'patched')), functions };
}

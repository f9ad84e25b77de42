/** The loaded live patches, from `/sys/kernel/livepatch` (Documentation/ABI/testing/sysfs-kernel-livepatch). */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ReplacedFunction } from '../../module/tables.ts';
import { attribute, flagAttribute, foldersIn, numberAttribute } from '../machine/attribute.ts';
import type { Machine } from '../machine/machine.ts';
import { buildIdIn } from '../machine/running-kernel.ts';

export interface LoadedPatch {
  readonly name: string;
  readonly enabled: boolean;
  readonly transition: boolean;
  /** From `/sys/kernel/livepatch/NAME/replace` (Linux 6.12 and later); `undefined` on older kernels. */
  readonly replace: boolean | undefined;
  readonly objects: readonly PatchedObject[];
  /** `MODULE_VERSION`, if the module has one. */
  readonly version: string | undefined;
  /** Digest of the sources of the module (srcversion), if it has one. */
  readonly srcversion: string | undefined;
}

export interface PatchedObject {
  /** `vmlinux` or a module. */
  readonly name: string;
  /** True while the object is loaded and patched (Linux 6.1 and later); `undefined` on older kernels. */
  readonly patched: boolean | undefined;
  readonly functions: readonly ReplacedFunction[];
}

/** The state of a patch, in the words of `kpatch list`. */
export type PatchState = 'enabled' | 'disabled' | 'enabling' | 'disabling';

/** All live patches, by name. A patch that disappears while it is read is left out. */
export function loadedPatches(machine: Machine): LoadedPatch[] {
  return foldersIn(livepatchFolder(machine)).flatMap((name) => loadedPatch(machine, name) ?? []);
}

/** One live patch; `undefined` if none of that name is loaded. */
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

/** During a transition, `enabled` gives its direction. */
export function stateOf({ enabled, transition }: LoadedPatch): PatchState {
  if (transition) return enabled ? 'enabling' : 'disabling';
  return enabled ? 'enabled' : 'disabled';
}

export function functionsOf(patch: LoadedPatch): ReplacedFunction[] {
  return patch.objects.flatMap(({ functions }) => functions);
}

/** True while the module is loaded, even if its live patch was replaced. */
export function moduleLoaded(machine: Machine, name: string): boolean {
  return existsSync(join(machine.sysfs, 'module', name, 'refcnt'));
}

/** The reference count of the module; `undefined` if it is not loaded. */
export function moduleUsers(machine: Machine, name: string): number | undefined {
  return numberAttribute(join(machine.sysfs, 'module', name, 'refcnt'));
}

/** The build-id of a loaded module; `undefined` if the kernel does not expose it. */
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

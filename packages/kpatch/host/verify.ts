/** Checks that installed, loaded and recorded patches are consistent. */
import { KpatchError } from '../base/errors/error.ts';
import { bootSet } from './boot/boot.ts';
import { blockedAmong, guardDamaged } from './boot/guard.ts';
import { manifestOfLoaded, orderRefusal } from './fit.ts';
import { functionsOf, type LoadedPatch, loadedPatch, loadedPatches } from './live/livepatches.ts';
import { readRecord } from './live/loaded-record.ts';
import type { Machine } from './machine/machine.ts';
import { runningKernel } from './machine/running-kernel.ts';
import { type InstalledPatch, indexDamaged, installedPatches, readInstalled, releasesIn } from './store/store.ts';

export interface Mismatch {
  readonly patch?: string;
  readonly release: string;
  readonly problem: string;
  readonly fix: string;
}

/** Checks the store of every release, and the loaded patches of the running one. Empty if consistent. Never throws. */
export function verify(machine: Machine): Mismatch[] {
  const { release } = runningKernel(machine);
  const stores = releasesIn(machine).flatMap((one) => verifyStore(machine, one));
  return machine.offline || release === '' ? stores : [...stores, ...verifyLoaded(machine, release)];
}

/** Compares the store of one release with its index and with the manifests in its modules. */
function verifyStore(machine: Machine, release: string): Mismatch[] {
  const found: Mismatch[] = [];
  if (indexDamaged(machine, release)) {
    found.push({ release, problem: 'the index of the store is damaged', fix: 'kpatch verify --repair' });
  }
  if (guardDamaged(machine, release)) {
    found.push({
      release,
      problem: 'the state of the boot guard is damaged',
      fix: 'no action needed: the next boot resets it',
    });
  }
  for (const patch of installedPatches(machine, release)) {
    found.push(...verifyInstalled(patch).map(({ problem, fix }) => ({ patch: patch.name, release, problem, fix })));
  }
  return found;
}

function verifyInstalled(patch: InstalledPatch): { problem: string; fix: string }[] {
  const again = `kpatch uninstall -k ${patch.release} ${patch.name}, then install it from its source`;
  try {
    const module = readInstalled(patch);
    const problems: { problem: string; fix: string }[] = [];
    if (module.name !== patch.name)
      problems.push({ problem: `the module in this file is named ${module.name}`, fix: again });
    const { manifest } = module;
    const releases = [module.release, ...(manifest === undefined ? [] : [manifest.release])];
    for (const one of new Set(releases)) {
      if (one !== patch.release) problems.push({ problem: `it is for kernel ${one}`, fix: again });
    }
    return problems;
  } catch (error) {
    return [{ problem: error instanceof KpatchError ? error.message : String(error), fix: again }];
  }
}

/** Compares the loaded patches with those that should be loaded. */
function verifyLoaded(machine: Machine, release: string): Mismatch[] {
  const found: Mismatch[] = [];
  const installed = installedPatches(machine, release);
  const blocked = new Set(blockedAmong(machine, release, installed).map(({ name }) => name));
  for (const patch of bootSet(machine, release)) {
    const { name } = patch;
    if (loadedPatch(machine, name)?.enabled || blocked.has(name)) continue;
    found.push({ patch: name, release, ...inactive(machine, patch) });
  }
  for (const patch of loadedPatches(machine)) {
    if (patch.enabled) found.push(...verifyActive(machine, release, patch, installed));
  }
  return found;
}

/** An installed patch that is not active, and what to do: `kpatch load` only if it would not be refused. */
function inactive(machine: Machine, patch: InstalledPatch): { problem: string; fix: string } {
  const problem = 'installed but not active';
  try {
    const refusal = orderRefusal(machine, readInstalled(patch));
    if (refusal === undefined) return { problem, fix: `kpatch load ${patch.name}` };
    const fix = `keep the loaded patch with kpatch install FILE, or go back with kpatch load --downgrade ${patch.name}`;
    return { problem: `${problem}, and would not be loaded: ${refusal.message}`, fix };
  } catch (error) {
    return { problem: `${problem}: ${(error as Error).message}`, fix: `kpatch uninstall ${patch.name}` };
  }
}

function verifyActive(
  machine: Machine,
  release: string,
  patch: LoadedPatch,
  installed: readonly InstalledPatch[],
): Mismatch[] {
  const { name } = patch;
  const record = readRecord(machine, name);
  const stored = installed.find((one) => one.name === name);
  if (stored === undefined) {
    return [
      {
        patch: name,
        release,
        problem: 'loaded but not installed: it will be gone after a reboot',
        fix: 'kpatch install FILE',
      },
    ];
  }
  if (record !== undefined && stored.sha256 !== undefined && stored.sha256 !== record.sha256) {
    const fix = `kpatch unload ${name} && kpatch load ${name}`;
    return [{ patch: name, release, problem: 'the active module differs from the installed one', fix }];
  }
  const key = (one: { object: string; name: string }): string => `${one.object}:${one.name}`;
  const active = new Set(functionsOf(patch).map(key));
  const missing = manifestOfLoaded(machine, name)?.functions.filter((one) => !active.has(key(one))) ?? [];
  return missing.map((one) => ({
    patch: name,
    release,
    problem: `the function ${one.name} of ${one.object} is not redirected`,
    fix: `kpatch unload ${name} && kpatch load ${name}`,
  }));
}

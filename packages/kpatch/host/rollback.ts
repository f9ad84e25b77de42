/** Goes back to the live patch that was active or installed before the present one. */
import { failure } from '../base/errors/error.ts';
import type { Reporter } from '../base/report.ts';
import { isUnattended } from './acceptance/origin.ts';
import { bootSet } from './boot/boot.ts';
import { orderRefusal } from './fit.ts';
import { loadedPatch, loadedPatches } from './live/livepatches.ts';
import { type LoadOptions, type LoadResult, loadModule } from './live/load.ts';
import type { Machine } from './machine/machine.ts';
import { runningKernel } from './machine/running-kernel.ts';
import { installModule } from './store/install.ts';
import { previousOf } from './store/previous.ts';
import { type InstalledPatch, installedPatches, readInstalled } from './store/store.ts';
import { recordUnwanted } from './store/unwanted.ts';

export interface Rollback {
  readonly release: string;
  /** The present patch: installed, or only loaded. */
  readonly from: string;
  readonly to: InstalledPatch;
  /** True if `from` is installed: then `to` takes its place at boot too. */
  readonly installed: boolean;
}

/**
 * What a rollback would do. An installed patch goes back to the one that it replaced; a patch that is only loaded goes back
 * to the installed one. Errors: `machine-offline`, `no-previous`.
 */
export function planRollback(machine: Machine): Rollback {
  if (machine.offline) throw failure('machine-offline', {});
  const { release } = runningKernel(machine);
  const active = loadedPatches(machine).filter(({ enabled }) => enabled);
  const inactive = bootSet(machine, release).filter(({ name }) => loadedPatch(machine, name)?.enabled !== true);
  for (const to of inactive) {
    // Loading an older version is what a rollback means; anything else that speaks against it is asked when it is loaded.
    if (orderRefusal(machine, readInstalled(to))?.code !== 'newer-loaded') continue;
    return { release, from: active[0]!.name, to, installed: false };
  }
  for (const patch of installedPatches(machine, release)) {
    const to = patch.sha256 === undefined ? undefined : previousOf(machine, release, patch.sha256);
    if (to !== undefined) return { release, from: patch.name, to, installed: true };
  }
  throw failure('no-previous', { release });
}

/** In words, in the order in which it is done. */
export function rollbackSteps({ from, to, installed, release }: Rollback): string[] {
  return [
    `load ${to.name}, which replaces ${from} in one step`,
    ...(installed
      ? [`install ${to.name} for ${release} instead of ${from}`, `keep updates from installing ${from} again`]
      : []),
  ];
}

/**
 * Carries it out. Policy, boot guard and all checks of a load apply, except that the version may be lower. The caller holds
 * the lock. Errors: those of `installModule` and `loadModule`.
 */
export async function rollBack(
  machine: Machine,
  plan: Rollback,
  options: LoadOptions,
  report: Reporter,
): Promise<LoadResult | undefined> {
  const { to, from, installed, release } = plan;
  const lower = { ...options, downgrade: true };
  const module = readInstalled(to);
  if (!installed) return await loadModule(machine, module, lower, report);
  const unwanted = installedPatches(machine, release).find(({ name }) => name === from);
  const { load } = await installModule(machine, module, lower, report);
  if (unwanted !== undefined && !isUnattended()) recordUnwanted(machine, unwanted);
  return load;
}

/** Loading what is installed: at boot under the guard, or by hand. */
import { fail, KpatchError } from '../../base/errors/error.ts';
import type { Reporter } from '../../base/report.ts';
import { requireFit } from '../fit.ts';
import { loadedPatch } from '../live/livepatches.ts';
import { fitOf, type LoadOptions, type LoadResult, loadModule } from '../live/load.ts';
import { journal } from '../machine/journal.ts';
import type { Machine } from '../machine/machine.ts';
import { runningKernel } from '../machine/running-kernel.ts';
import { manifestOfInstalled } from '../store/install.ts';
import { lineOf, type ModuleFile } from '../store/module-file.ts';
import { type InstalledPatch, indexDamaged, installedPatches, readInstalled, recover } from '../store/store.ts';
import { type BootVerdict, beginBoot, blockedAmong, bootSurvived, type GuardedPatch, guardDamaged } from './guard.ts';

export interface BootResult {
  readonly release: string;
  readonly loads: readonly LoadResult[];
  /** Patches that the guard kept from being loaded. */
  readonly blocked: readonly string[];
  /** Patches that could not be loaded, and why. */
  readonly failures: readonly { readonly name: string; readonly error: KpatchError }[];
  /** `kpatch.enable=0` was on the kernel's command line. */
  readonly disabled: boolean;
}

/**
 * What boots of the installed patches, in the order of loading: of each line of cumulative patches the highest version
 * only, and those before the ones that lie on top of them.
 */
export function bootSet(machine: Machine, release: string): InstalledPatch[] {
  const best = new Map<string, { patch: InstalledPatch; version: number }>();
  const others: InstalledPatch[] = [];
  for (const patch of installedPatches(machine, release)) {
    const manifest = manifestOfInstalled(patch);
    if (manifest?.replace !== true) {
      others.push(patch);
      continue;
    }
    const line = lineOf(manifest);
    const current = best.get(line);
    if (current === undefined || manifest.version >= current.version)
      best.set(line, { patch, version: manifest.version });
  }
  return [...[...best.values()].map(({ patch }) => patch), ...others];
}

export interface LoadAllOptions extends LoadOptions {
  /** As at boot. */
  readonly guarded?: boolean;
  /** Look at everything and load nothing. */
  readonly dryRun?: boolean;
  /** Throws where a module may not be loaded for a reason of the caller's. */
  readonly demand?: (module: ModuleFile) => void;
}

/**
 * Loads all that is installed for the running kernel. One patch that cannot be loaded does not keep the others back.
 * With `guarded` the boot guard decides. Take the lock first. Error: `machine-offline`.
 */
export async function loadAll(machine: Machine, options: LoadAllOptions, report: Reporter): Promise<BootResult> {
  if (machine.offline) throw fail('machine-offline', {});
  const kernel = runningKernel(machine);
  const { release } = kernel;
  if (options.guarded && kernel.disabledAtBoot) {
    report.note('kpatch.enable=0 is on the kernel command line: no patch is loaded');
    return { release, loads: [], blocked: [], failures: [], disabled: true };
  }
  if (!options.dryRun) tidy(machine, release, report);
  const patches = bootSet(machine, release);
  const { blocked, failures }: GuardResult = options.guarded
    ? await guard(machine, release, kernel.bootId, patches, report, options.dryRun)
    : { blocked: [], failures: [] };
  const kept = new Set([...blocked, ...failures.map(({ name }) => name)]);
  const loads: LoadResult[] = [];
  for (const patch of patches) {
    if (kept.has(patch.name)) continue;
    try {
      const module = readInstalled(patch);
      options.demand?.(module);
      loads.push(
        await (options.dryRun ? wouldLoad(machine, module, options) : loadModule(machine, module, options, report)),
      );
    } catch (error) {
      if (!(error instanceof KpatchError)) throw error;
      failures.push({ name: patch.name, error });
      if (options.dryRun) continue;
      if (error.code === 'store-damaged' || error.code === 'file-unreadable') {
        await journal(machine, {
          outcome: 'failed',
          message: error.message,
          release,
          patch: patch.name,
          code: error.code,
        });
      }
    }
  }
  return { release, loads, blocked, failures, disabled: false };
}

async function wouldLoad(machine: Machine, module: ModuleFile, options: LoadOptions): Promise<LoadResult> {
  const { name } = module;
  const active = loadedPatch(machine, name)?.enabled;
  const findings = active ? [] : await fitOf(machine, module, options);
  requireFit(findings);
  return { name, outcome: active ? 'already' : 'fits', seconds: 0, replaced: [], findings };
}

/** The error for a result in which something was not loaded: `boot-incomplete`. */
export function incomplete({ failures }: BootResult): KpatchError {
  const lines = failures.map(({ name, error }) => {
    return [`${name}: ${error.message}; ${error.fix}`, error.detail].filter(Boolean).join('\n');
  });
  return fail('boot-incomplete', { count: failures.length }, { detail: lines.join('\n') });
}

/** The system has been up, or goes down in order: this boot counts as survived. */
export async function markSurvived(machine: Machine): Promise<boolean> {
  const { release } = runningKernel(machine);
  const cleared = bootSurvived(machine, release);
  if (cleared) await journal(machine, { outcome: 'survived', message: 'this boot survived its live patches', release });
  return cleared;
}

/**
 * A person changes the store, so the system is up: a power cut from here on is not held against the patches. What a service
 * does says nothing of the kind: at each boot it could clear the guard of a patch that crashes the machine a little later.
 * systemd tells its services by INVOCATION_ID (systemd.exec(5)).
 */
export async function personAtWork(machine: Machine, env: NodeJS.ProcessEnv = process.env): Promise<void> {
  if (machine.offline || !machine.isRoot || env.INVOCATION_ID !== undefined) return;
  try {
    await markSurvived(machine);
  } catch {
    // A read-only or full /var: what the person asks for will say so.
  }
}

/** Carries out what a power cut interrupted; where the disk does not let us, what is read is right all the same. */
function tidy(machine: Machine, release: string, report: Reporter): void {
  if (indexDamaged(machine, release)) report.warn(`the index of the store is damaged: see 'kpatch verify'`);
  try {
    recover(machine, release);
  } catch {
    // A read-only or full /var; the guard will say so.
  }
}

interface GuardResult {
  readonly blocked: string[];
  readonly failures: { name: string; error: KpatchError }[];
}

async function guard(
  machine: Machine,
  release: string,
  bootId: string,
  patches: readonly InstalledPatch[],
  report: Reporter,
  dryRun = false,
): Promise<GuardResult> {
  if (patches.length === 0) return { blocked: [], failures: [] };
  if (dryRun) return { blocked: blockedAmong(machine, release, patches).map(({ name }) => name), failures: [] };
  if (guardDamaged(machine, release)) report.warn('the state of the boot guard was damaged and is begun anew');
  const guarded = patches.map((patch): GuardedPatch => ({ name: patch.name, sha256: digestOf(patch) }));
  const { blocked, unguarded, unwritable }: BootVerdict = beginBoot(machine, release, bootId, guarded);
  for (const { name, at } of blocked) {
    const message = `live patch ${name} is not loaded: the machine did not survive its boot of ${at} with it`;
    report.warn(`${message}; 'kpatch install --again' lets it be loaded again`);
    await journal(machine, { outcome: 'blocked', message, release, patch: name });
  }
  if (unwritable !== undefined && unguarded.length < patches.length - blocked.length) {
    report.warn('the boot guard cannot be written: only patches are loaded that have survived a boot before');
  }
  const failures: { name: string; error: KpatchError }[] = [];
  for (const { name } of unguarded) {
    const error = fail('guard-unwritable', { name, folder: machine.store }, { cause: unwritable });
    await journal(machine, { outcome: 'failed', message: error.message, release, patch: name, code: error.code });
    failures.push({ name, error });
  }
  return { blocked: blocked.map(({ name }) => name), failures };
}

function digestOf(patch: InstalledPatch): string {
  if (patch.sha256 !== undefined) return patch.sha256;
  try {
    return readInstalled(patch).sha256;
  } catch {
    return '';
  }
}

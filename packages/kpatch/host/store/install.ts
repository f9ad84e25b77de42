/** Installs a patch so that it is active now and after each boot, and uninstalls it. */
import { basename } from 'node:path';
import { failure, KpatchError } from '../../base/errors/error.ts';
import { interrupted, onExit } from '../../base/process/cleanup.ts';
import type { Reporter } from '../../base/report.ts';
import { type Admission, admit } from '../acceptance/acceptance.ts';
import { isUnattended } from '../acceptance/origin.ts';
import { beginTrial, blockedByGuard, blockedNow, unblock } from '../boot/guard.ts';
import { requireFit } from '../fit.ts';
import { moduleLoaded } from '../live/livepatches.ts';
import { fitOf, type LoadOptions, type LoadResult, loadModule } from '../live/load.ts';
import { readRecord } from '../live/loaded-record.ts';
import { journal } from '../machine/journal.ts';
import type { Machine } from '../machine/machine.ts';
import { runningKernel } from '../machine/running-kernel.ts';
import { lineOf, type ModuleFile, readModuleFile } from './module-file.ts';
import { keepPrevious } from './previous.ts';
import {
  findInstalled,
  type InstalledPatch,
  installedPatches,
  manifestOfInstalled,
  readInstalled,
  removeInstalled,
  stage,
} from './store.ts';
import { forgetUnwanted, recordUnwanted } from './unwanted.ts';

export interface InstallOptions extends LoadOptions {
  /** The kernel it is installed for (default: the running one). */
  readonly release?: string;
  /** True if an administrator wants a patch that the boot guard blocks. */
  readonly again?: boolean;
  /** False: do not load it now. */
  readonly load?: boolean;
  /** Report what would be done, but change nothing. */
  readonly dryRun?: boolean;
}

export interface InstallResult {
  readonly name: string;
  readonly release: string;
  /** Installed patches that it replaces. */
  readonly replaced: readonly string[];
  /** Result of the load; absent with `load: false`. */
  readonly load: LoadResult | undefined;
}

/**
 * Installs a module file, or one that was already read. A cumulative patch is loaded first and replaces the previous one in
 * the store only when it is active, so that at any moment either the old or the new patch boots. The caller holds the lock.
 * Errors: those of `readModuleFile` and `admit`, `release-mismatch`, `already-installed`, `name-taken`, the refusals of
 * `order`, those of `loadModule`, `disk-full`, `file-unwritable`, `store-index-damaged`.
 */
export async function installModule(
  machine: Machine,
  source: string | ModuleFile,
  options: InstallOptions,
  report: Reporter,
): Promise<InstallResult> {
  const kernel = runningKernel(machine);
  const module = typeof source === 'string' ? readModuleFile(source) : source;
  const file = module.path;
  const release = options.release ?? (machine.offline ? module.release : kernel.release);
  const { name } = module;
  const where = { where: { file } };
  // The store lists one name per line, and the names of its own files start with a dot.
  if (!/^[^.\p{Cc}][^\p{Cc}]*\.ko$/u.test(basename(file))) {
    throw failure('usage', {
      problem: `${JSON.stringify(basename(file))} is not a valid file name for an installed patch (NAME.ko)`,
    });
  }
  if (module.release !== release) throw failure('release-mismatch', { name, wanted: module.release, release }, where);
  const installed = installedPatches(machine, release);
  const same = installed.find((patch) => patch.name === name || patch.file === basename(file));
  if (same !== undefined) throw refusalOf(same, module, release);
  const admission = await admitted(machine, module, options);
  const replaced = replacedBy(module, installed, options);
  const load = (options.load ?? true) && !machine.offline && release === kernel.release;
  if (options.dryRun) {
    if (load && !moduleLoaded(machine, name)) requireFit(await fitOf(machine, module, options));
    return { name, release, replaced: replaced.map((patch) => patch.name), load: undefined };
  }
  if (!machine.isRoot && !machine.offline) throw failure('not-root', {});
  report.note(`installing ${file} (${release})`);
  const staged = stage(machine, release, module, basename(file));
  const forget = onExit(staged.discard);
  let loaded: LoadResult | undefined;
  try {
    if (load)
      loaded = await onTrial(
        machine,
        kernel,
        module,
        installed.filter((one) => !replaced.includes(one)),
        options,
        () => loadModule(machine, module, { ...options, admission }, report, staged.path),
      );
    interrupted.throwIfAborted();
    try {
      keepPrevious(machine, module, replaced);
    } catch (error) {
      report.warn(`the replaced patch is not kept for kpatch rollback: ${(error as Error).message}`);
    }
    staged.commit(replaced, admission.acceptance, admission);
  } catch (error) {
    staged.discard();
    if (loaded !== undefined && error instanceof KpatchError) report.warn(`${name} is active but not installed`);
    throw error;
  } finally {
    forget();
  }
  forgetUnwanted(machine, module);
  if (options.again) unblock(machine, release, ({ sha256 }) => sha256 === module.sha256);
  await afterInstall(machine, module, release, replaced, report);
  return { name, release, replaced: replaced.map((patch) => patch.name), load: loaded };
}

/**
 * Loads, and if nobody watches has the boot guard on its guard: a machine that an update crashes would otherwise come back with the patch
 * before, nobody would know why, and the next update would crash it again.
 */
async function onTrial(
  machine: Machine,
  { release, bootId }: { readonly release: string; readonly bootId: string },
  { name, sha256 }: ModuleFile,
  others: readonly InstalledPatch[],
  options: InstallOptions,
  work: () => Promise<LoadResult>,
): Promise<LoadResult> {
  const isAlone = options.unattended ?? isUnattended();
  if (!isAlone || !(await machine.control.watch()).ok) return await work();
  const known = others.flatMap((one) => (one.sha256 === undefined ? [] : { name: one.name, sha256: one.sha256 }));
  const end = beginTrial(machine, release, bootId, [{ name, sha256 }, ...known]);
  try {
    return await work();
  } catch (error) {
    end();
    throw error;
  }
}

/** Asks the policy and the boot guard; a refusal is an event of the machine, wherever the command came from. */
async function admitted(machine: Machine, module: ModuleFile, options: InstallOptions): Promise<Admission> {
  const { name, release, path } = module;
  try {
    const admission = admit(machine, module, options);
    const crashed = options.again ? undefined : blockedByGuard(machine, release, module.sha256);
    if (crashed === undefined) return admission;
    throw failure('patch-crashed', { name, at: crashed.at }, { where: { file: path } });
  } catch (error) {
    if (error instanceof KpatchError && error.exit === 4 && options.dryRun !== true) {
      const { code, message } = error;
      await journal(machine, { outcome: 'refused', code, message, release, patch: name });
    }
    throw error;
  }
}

/**
 * Unblocks patches that the boot guard blocked and loads them. The caller holds the lock.
 * Errors: `not-installed`, `none-blocked`, those of `loadModule`.
 */
export async function installAgain(
  machine: Machine,
  name: string | undefined,
  options: InstallOptions,
  report: Reporter,
): Promise<{ freed: string[]; loads: LoadResult[] }> {
  const kernel = runningKernel(machine);
  const release = options.release ?? kernel.release;
  const wanted = name === undefined ? undefined : findInstalled(machine, release, name);
  const blocked = blockedNow(machine, release).filter((patch) => [patch.name, undefined].includes(wanted?.name));
  if (blocked.length === 0) throw failure('none-blocked', { name: wanted?.name ?? 'any patch', release });
  const freed = blocked.map((patch) => patch.name);
  if (options.dryRun) return { freed, loads: [] };
  unblock(machine, release, ({ name }) => freed.includes(name));
  const loads: LoadResult[] = [];
  if ((options.load ?? true) && release === kernel.release) {
    for (const patch of installedPatches(machine, release)) {
      if (freed.includes(patch.name)) loads.push(await loadModule(machine, readInstalled(patch), options, report));
    }
  }
  return { freed, loads };
}

/**
 * Removes an installed patch from the store; it stays loaded, and the boot guard remembers a crash. If the user removes it,
 * no update installs it again. The caller holds the lock.
 */
export async function uninstallPatch(
  machine: Machine,
  name: string,
  options: { release?: string; dryRun?: boolean; unattended?: boolean },
  report: Reporter,
): Promise<InstalledPatch> {
  const release = options.release ?? runningKernel(machine).release;
  const patch = findInstalled(machine, release, name);
  if (options.dryRun) return patch;
  report.note(`uninstalling ${patch.name} (${release})`);
  // The wish first: a power cut in between must not leave an update to put the patch back.
  if (!(options.unattended ?? isUnattended())) recordUnwanted(machine, patch);
  removeInstalled(machine, release, [patch]);
  const message = `live patch ${patch.name} was uninstalled for ${release}`;
  await journal(machine, { outcome: 'uninstalled', message, release, patch: patch.name });
  return patch;
}

function refusalOf(same: InstalledPatch, module: ModuleFile, release: string): Error {
  const { name } = module;
  let unchanged = same.sha256 === module.sha256;
  if (same.sha256 === undefined) {
    try {
      unchanged = readInstalled(same).sha256 === module.sha256;
    } catch {
      unchanged = false;
    }
  }
  if (unchanged) return failure('already-installed', { name, release });
  return failure('name-taken', { name, place: 'installed' }, { where: { file: same.path } });
}

/** The installed patches that a cumulative one replaces. Errors: `newer-loaded`, `other-line`, `replaces-unknown`. */
function replacedBy(
  module: ModuleFile,
  installed: readonly InstalledPatch[],
  options: InstallOptions,
): InstalledPatch[] {
  const { manifest, name, path } = module;
  if (!manifest?.replace) return [];
  for (const patch of options.downgrade ? [] : installed) {
    const before = manifestOfInstalled(patch);
    const where = { where: { file: path } };
    if (before === undefined) throw failure('replaces-unknown', { name, loaded: patch.name }, where);
    const [line, other] = [lineOf(manifest), lineOf(before)];
    if (line !== other) throw failure('other-line', { name, line, loaded: patch.name, other }, where);
    const params = { name, version: manifest.version, loaded: patch.name, newer: before.version };
    if (before.version > manifest.version) throw failure('newer-loaded', params, where);
  }
  return [...installed];
}

async function afterInstall(
  machine: Machine,
  module: ModuleFile,
  release: string,
  replaced: readonly InstalledPatch[],
  report: Reporter,
): Promise<void> {
  for (const patch of replaced) report.note(`${patch.name} was replaced and is no longer installed`);
  const message = `live patch ${module.name} was installed for ${release}`;
  const { name } = module;
  await journal(machine, { outcome: 'installed', message, release, patch: name, version: module.manifest?.version });
  if (machine.offline) return;
  try {
    const service = await machine.control.enableService();
    if (!service.ok) report.warn(`cannot enable kpatch.service: ${service.message}`);
  } catch {
    // No systemd on this machine: its own init scripts must call `kpatch load --all`.
  }
  const record = readRecord(machine, name);
  if (record !== undefined && record.sha256 !== module.sha256) {
    report.warn(`the loaded module ${name} differs from the installed one`);
  }
}

/** Loads the installed patches: at boot under the boot guard, or on request. */
import { failure, KpatchError } from '../../base/errors/error.ts';
import { type Reporter, silentReporter } from '../../base/report.ts';
import { admit } from '../acceptance/acceptance.ts';
import { refreshAcceptances } from '../acceptance/acceptance-record.ts';
import { readPolicyState } from '../acceptance/policy.ts';
import { requireFit } from '../fit.ts';
import { loadedPatch } from '../live/livepatches.ts';
import { fitOf, type LoadOptions, type LoadResult, loadModule } from '../live/load.ts';
import { withLock } from '../machine/host-lock.ts';
import { journal } from '../machine/journal.ts';
import { keepInside, type Machine } from '../machine/machine.ts';
import { runningKernel } from '../machine/running-kernel.ts';
import { lineOf, type ModuleFile } from '../store/module-file.ts';
import {
  type InstalledPatch,
  indexDamaged,
  installedPatches,
  manifestOfInstalled,
  readInstalled,
  recover,
  releasesIn,
  removeInstalled,
} from '../store/store.ts';
import {
  type BlockedPatch,
  type BootVerdict,
  beginBoot,
  blockedAmong,
  bootEnds,
  bootSurvived,
  type EndedBoot,
  endOtherBoot,
  forgetBoots,
  type GuardedPatch,
  guardDamaged,
  guardWaits,
  watchBoot,
} from './guard.ts';

export interface BootResult {
  readonly release: string;
  readonly loads: readonly LoadResult[];
  /** Patches that the boot guard blocked. */
  readonly blocked: readonly string[];
  /** Patches that could not be loaded, and why. */
  readonly failures: readonly { readonly name: string; readonly error: KpatchError }[];
  /** True with `kpatch.enable=0` on the kernel command line. */
  readonly disabled: boolean;
}

/**
 * The installed patches that boot loads, in load order: only the highest version of each line of cumulative patches, and
 * cumulative patches before the others.
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
  /** Use the boot guard, as at boot. */
  readonly guarded?: boolean;
  /** With `guarded`: note how this boot ends also where no patch is installed, for those who compare. */
  readonly watched?: boolean;
  /** Check everything but load nothing. */
  readonly dryRun?: boolean;
}

/**
 * Loads all patches installed for the running kernel. If one fails, the others are still loaded.
 * With `guarded` the boot guard decides. The caller holds the lock. Error: `machine-offline`.
 */
export async function loadAll(machine: Machine, options: LoadAllOptions, report: Reporter): Promise<BootResult> {
  if (machine.offline) throw failure('machine-offline', {});
  const kernel = runningKernel(machine);
  const { release } = kernel;
  if (options.guarded && kernel.disabledAtBoot) {
    report.note('kpatch.enable=0 is on the kernel command line: loading no patches');
    return { release, loads: [], blocked: [], failures: [], disabled: true };
  }
  if (!options.dryRun) tidy(machine, release, report);
  if (!options.dryRun) refreshAcceptances(machine, release);
  const patches = bootSet(machine, release);
  const { blocked, failures }: GuardResult = options.guarded
    ? await guard(machine, kernel, patches, options, report)
    : { blocked: [], failures: [] };
  const kept = new Set([...blocked, ...failures.map(({ name }) => name)]);
  const loads: LoadResult[] = [];
  for (const patch of patches) {
    if (kept.has(patch.name)) continue;
    try {
      const module = readInstalled(patch);
      loads.push(
        await (options.dryRun
          ? wouldLoad(machine, module, options, report)
          : loadModule(machine, module, options, report)),
      );
    } catch (error) {
      if (!(error instanceof KpatchError)) throw error;
      failures.push({ name: patch.name, error });
      if (options.dryRun) continue;
      if (error.code === 'key-revoked') await removeRevoked(machine, patch, error, report);
      if (['store-damaged', 'store-unsafe', 'file-unreadable'].includes(error.code)) {
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

/** The policy can require that patches signed by a revoked key are removed from the store; they stay loaded until unloaded. */
async function removeRevoked(
  machine: Machine,
  patch: InstalledPatch,
  { message }: KpatchError,
  report: Reporter,
): Promise<void> {
  const state = readPolicyState(machine);
  if (state.kind !== 'valid' || state.policy.rules.revoked !== 'remove') return;
  removeInstalled(machine, patch.release, [patch]);
  const text = `${message}; it was taken out of the store, as the host policy says`;
  report.warn(text);
  await journal(machine, { outcome: 'alarm', message: text, release: patch.release, patch: patch.name });
}

async function wouldLoad(
  machine: Machine,
  module: ModuleFile,
  options: LoadOptions,
  report: Reporter,
): Promise<LoadResult> {
  const { name } = module;
  for (const alarm of admit(machine, module, options).alarms) report.warn(alarm);
  const active = loadedPatch(machine, name)?.enabled;
  const findings = active ? [] : await fitOf(machine, module, options);
  requireFit(findings);
  return { name, outcome: active ? 'already' : 'fits', seconds: 0, replaced: [], findings };
}

/** The error for a result with failures: `boot-incomplete`. */
export function incomplete({ failures }: BootResult): KpatchError {
  const lines = failures.map(({ name, error }) => {
    return [`${name}: ${error.message}; ${error.fix}`, error.detail].filter(Boolean).join('\n');
  });
  return failure('boot-incomplete', { count: failures.length }, { detail: lines.join('\n') });
}

/**
 * From now on the end of each boot is noted, also where no patch is installed: of this one only if units see the shutdown, because
 * every orderly reboot would look like a crash otherwise.
 */
export async function watchFromNowOn(machine: Machine): Promise<void> {
  if (machine.offline) return;
  const { release, bootId } = runningKernel(machine);
  try {
    await machine.control.enableService();
  } catch {
    // No systemd on this machine: its own init scripts must call `kpatch load --all --boot`.
  }
  if ((await machine.control.watch()).ok) await underLock(machine, () => watchBoot(machine, release, bootId));
}

/** The opposite: what was noted of boots without a patch goes. */
export async function watchNoMore(machine: Machine): Promise<void> {
  await underLock(machine, () => {
    for (const release of releasesIn(machine)) forgetBoots(machine, release);
  });
}

/** A disk that is full or read-only, or a command that takes long, is no reason to fail: the next boot is watched in any case. */
async function underLock(machine: Machine, work: () => void): Promise<void> {
  try {
    // The lock would be a file in the image.
    if (machine.offline) {
      keepInside(machine);
      return work();
    }
    await withLock(machine, silentReporter(), 60_000, async () => work());
  } catch (error) {
    if (!(error instanceof KpatchError)) throw error;
  }
}

/** The system has been up for a while or shuts down cleanly: this boot counts as survived. */
export async function markSurvived(machine: Machine): Promise<boolean> {
  const { release } = runningKernel(machine);
  const cleared = bootSurvived(machine, release);
  if (cleared) await journal(machine, { outcome: 'survived', message: 'this boot counts as survived', release });
  return cleared;
}

/** The system shuts down cleanly: the boot counts as survived, and as ended in order. */
export async function markDown(machine: Machine): Promise<boolean> {
  const cleared = await markSurvived(machine);
  bootEnds(machine, runningKernel(machine).release);
  return cleared;
}

/**
 * An administrator changes the store, so the system is up: a power cut from now on does not count against the patches. A
 * service proves nothing of that kind: it could clear the guard at each boot although the patch crashes the machine a little
 * later. INVOCATION_ID in the environment marks a service of systemd (systemd.exec(5)).
 */
export async function personAtWork(machine: Machine, env: NodeJS.ProcessEnv = process.env): Promise<void> {
  if (machine.offline || !machine.isRoot || env.INVOCATION_ID !== undefined) return;
  try {
    await markSurvived(machine);
  } catch {
    // A read-only or full /var: the command itself will report it.
  }
}

/** Completes changes that a power cut interrupted. If the disk is full or read-only, readers still see the right state. */
function tidy(machine: Machine, release: string, report: Reporter): void {
  if (indexDamaged(machine, release)) report.warn('the index of the store is damaged: run kpatch verify');
  try {
    recover(machine, release);
  } catch {
    // A read-only or full /var: the boot guard will report it.
  }
}

/** A lost boot in words: what is known, and what is not. */
export function lostText({ at, record, named, patches, survived }: EndedBoot): string {
  const what =
    survived === true
      ? `the boot of ${at} ended without an orderly shutdown`
      : `the boot of ${at} ended before it counted as survived`;
  if (named.length > 0) return `${what}: the crash record ${record} names ${named.join(', ')}`;
  const names = patches.map(({ name }) => name).join(', ') || 'no live patch';
  const why =
    record === undefined ? 'no crash record was found (a reset or a power cut)' : `see the crash record ${record}`;
  return `${what}, with ${names}: ${why}`;
}

/** Why the guard blocks a patch, and until when. */
export function blockText({ at, why, until }: BlockedPatch): string {
  const reason = why ?? `the machine did not survive its boot of ${at} with it`;
  return until === undefined ? reason : `${reason}; it is tried again at the first boot after ${until}`;
}

interface GuardResult {
  readonly blocked: string[];
  readonly failures: { name: string; error: KpatchError }[];
}

async function guard(
  machine: Machine,
  { release, bootId }: { readonly release: string; readonly bootId: string },
  patches: readonly InstalledPatch[],
  { dryRun = false, watched = false }: LoadAllOptions,
  report: Reporter,
): Promise<GuardResult> {
  if (!dryRun) await endOtherBoots(machine, release, bootId, report);
  // Without a patch there is nothing to guard, but a boot before may have been lost to the first one that came.
  if (patches.length === 0 && !watched && !guardWaits(machine, release)) return { blocked: [], failures: [] };
  if (dryRun) return { blocked: blockedAmong(machine, release, patches).map(({ name }) => name), failures: [] };
  if (guardDamaged(machine, release)) report.warn('the state of the boot guard was damaged and has been reset');
  const { blocked, unguarded, unwritable, lost }: BootVerdict = beginBoot(
    machine,
    release,
    bootId,
    guarded(patches),
    watched,
  );
  if (lost !== undefined) await raise(machine, release, lost, report);
  for (const patch of blocked) {
    const { name } = patch;
    const message = `not loading live patch ${name}: ${blockText(patch)}`;
    report.warn(`${message}; to unblock it, run: kpatch install --again`);
    await journal(machine, { outcome: 'blocked', message, release, patch: name });
  }
  if (unwritable !== undefined && unguarded.length < patches.length - blocked.length) {
    report.warn('cannot write the boot guard: loading only patches that survived an earlier boot');
  }
  const failures: { name: string; error: KpatchError }[] = [];
  for (const { name } of unguarded) {
    const error = failure('guard-unwritable', { name, folder: machine.store }, { cause: unwritable });
    await journal(machine, { outcome: 'failed', message: error.message, release, patch: name, code: error.code });
    failures.push({ name, error });
  }
  return { blocked: blocked.map(({ name }) => name), failures };
}

/** The machine was lost with one kernel and boots another: also then it is known at once, and a fleet hears of it. */
async function endOtherBoots(machine: Machine, running: string, bootId: string, report: Reporter): Promise<void> {
  for (const release of releasesIn(machine)) {
    if (release === running || !guardWaits(machine, release)) continue;
    try {
      const end = endOtherBoot(machine, release, bootId, guarded(bootSet(machine, release)));
      if (end !== undefined) await raise(machine, release, end, report);
    } catch (error) {
      // What cannot be noted now (a full or read-only /var) is noted when that kernel boots.
      if (!(error instanceof KpatchError)) throw error;
    }
  }
}

async function raise(machine: Machine, release: string, end: EndedBoot, report: Reporter): Promise<void> {
  const message = lostText(end);
  report.warn(message);
  await journal(machine, { outcome: 'alarm', message, release });
}

function guarded(patches: readonly InstalledPatch[]): GuardedPatch[] {
  return patches.map((patch) => ({ name: patch.name, sha256: digestOf(patch) }));
}

function digestOf(patch: InstalledPatch): string {
  if (patch.sha256 !== undefined) return patch.sha256;
  try {
    return readInstalled(patch).sha256;
  } catch {
    return '';
  }
}

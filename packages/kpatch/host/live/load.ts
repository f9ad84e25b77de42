/** Loads a livepatch module: checks, insmod, transition. The result names the state in which the kernel is left. */

import { sha256 } from '../../base/digest.ts';
import { failure, KpatchError } from '../../base/errors/error.ts';
import { readRegularFile } from '../../base/files.ts';
import { onExit } from '../../base/process/cleanup.ts';
import type { Reporter } from '../../base/report.ts';
import { type AdmitOptions, admit } from '../acceptance/acceptance.ts';
import { checkFit, type Finding, requireFit } from '../fit.ts';
import { journal } from '../machine/journal.ts';
import type { Machine } from '../machine/machine.ts';
import { kernelVermagic } from '../machine/vermagic.ts';
import type { ModuleFile } from '../store/module-file.ts';
import { ownCopy } from '../store/own-copy.ts';
import { recordFailure } from './failures.ts';
import { loadedPatch, loadedPatches, moduleBuildId, moduleLoaded, moduleUsers } from './livepatches.ts';
import { readRecord, removeRecord, writeRecord } from './loaded-record.ts';
import { holdupLine } from './stall.ts';
import { taskInside } from './tasks.ts';
import { reverseTransition, turnRound, WAIT_MS, type WatchOptions, watchTransition } from './transition.ts';

export interface LoadOptions extends AdmitOptions {
  /** Time limit for the transition, milliseconds. */
  readonly waitMs?: number;
  /** After the time limit, `revert` reverses the transition and `leave` lets it continue. */
  readonly onStall?: 'revert' | 'leave';
  readonly downgrade?: boolean;
}

export interface LoadResult {
  readonly name: string;
  /** `already`: it was already loaded and active. `fits`: it could be loaded (dry run). */
  readonly outcome: 'loaded' | 'already' | 'fits';
  /** Duration of the transition, seconds. */
  readonly seconds: number;
  /** Patches that it replaced; their modules were removed. */
  readonly replaced: readonly string[];
  readonly findings: readonly Finding[];
}

/** dynup/kpatch makes five attempts while the kernel is busy. */
const ATTEMPTS = 5;
const RETRY_MS = 2000;

/** Checks whether a module could be loaded now. Never throws. */
export async function fitOf(machine: Machine, module: ModuleFile, options: LoadOptions): Promise<Finding[]> {
  const vermagic = await kernelVermagic(machine, module.release);
  return checkFit(machine, module, { downgrade: options.downgrade ?? false, vermagic });
}

/**
 * Loads a module and waits until its patch is active; `path` is where its bytes are now (default: its own path). The caller
 * holds the lock. Errors: those of `admit`, the refusals of `fit.ts`, `module-changed`, `name-taken`, `load-failed`,
 * `load-busy`, `transition-reverted`, `transition-left`.
 */
export async function loadModule(
  machine: Machine,
  module: ModuleFile,
  options: LoadOptions,
  report: Reporter,
  path: string = module.path,
): Promise<LoadResult> {
  try {
    return await load(machine, module, options, report, path);
  } catch (error) {
    await note(machine, module, error);
    throw error;
  }
}

async function load(
  machine: Machine,
  module: ModuleFile,
  options: LoadOptions,
  report: Reporter,
  path: string,
): Promise<LoadResult> {
  const { name } = module;
  if (machine.offline) throw failure('machine-offline', {});
  for (const alarm of admit(machine, module, options).alarms) await raise(machine, module, alarm, report);
  const present = await alreadyThere(machine, module, options, report);
  if (present !== undefined) return present;
  const findings = await fitOf(machine, module, options);
  requireFit(findings);
  for (const { level, text } of findings) if (level === 'warning') report.warn(text);
  const before = enabledPatches(machine);
  report.note(`loading patch module: ${path}`);
  using copy = ownCopy(machine, module, path);
  const seconds = await enable(machine, module, before, { ...options, path: copy.path }, report);
  writeRecord(machine, module, seconds);
  // A replaced patch is disabled at once; its folder in sysfs disappears a little later.
  const after = enabledPatches(machine);
  const replaced = before.filter((old) => !after.includes(old) && old !== name);
  for (const old of replaced) await removeReplaced(machine, old, report);
  await journal(machine, {
    outcome: 'loaded',
    message: `live patch ${name} is active (transition ${seconds.toFixed(1)} s)${replaced.length > 0 ? `, replaced ${replaced.join(', ')}` : ''}`,
    release: module.release,
    patch: name,
    version: module.manifest?.version,
  });
  return { name, outcome: 'loaded', seconds, replaced, findings };
}

function enabledPatches(machine: Machine): string[] {
  return loadedPatches(machine).flatMap((patch) => (patch.enabled ? patch.name : []));
}

/**
 * Inserts the module and waits until its patch is active; returns seconds. A transition may complete at the moment it is
 * reversed. The reversal then disables a patch that has already replaced the previous ones, and no patch would be left
 * active, so the module is inserted again.
 */
async function enable(
  machine: Machine,
  module: ModuleFile,
  before: readonly string[],
  options: LoadOptions & { path: string },
  report: Reporter,
): Promise<number> {
  await insmod(machine, module, options.path, report);
  try {
    return await awaitEnabled(machine, module, options, report);
  } catch (error) {
    const after = enabledPatches(machine);
    const reverted = error instanceof KpatchError && error.code === 'transition-reverted';
    if (!reverted || before.every((old) => after.includes(old))) throw error;
    report.note(`${module.name} had just replaced ${before.join(', ')}; loading it again`);
    await insmod(machine, module, options.path, report);
    return awaitEnabled(machine, module, { ...options, onStall: 'leave' }, report);
  }
}

/**
 * A module of that name is already loaded: waits for its transition, removes it if it is disabled, refuses other content.
 */
async function alreadyThere(
  machine: Machine,
  module: ModuleFile,
  options: LoadOptions,
  report: Reporter,
): Promise<LoadResult | undefined> {
  const { name } = module;
  if (!moduleLoaded(machine, name)) return undefined;
  const patch = loadedPatch(machine, name);
  const known = readRecord(machine, name)?.sha256;
  const sameContent = known === undefined ? sameBuild(machine, module) : known === module.sha256;
  if (patch?.transition) {
    report.note(`${name} is in transition; waiting for it`);
    if (patch.enabled) {
      if (!sameContent) throw failure('name-taken', { name, place: 'loaded' });
      const seconds = await awaitEnabled(machine, module, options, report);
      return { name, outcome: 'already', seconds, replaced: [], findings: [] };
    }
    await watchTransition(machine, name, watching(options, report));
  } else if (patch?.enabled) {
    if (!sameContent) throw failure('name-taken', { name, place: 'loaded' });
    return { name, outcome: 'already', seconds: 0, replaced: [], findings: [] };
  }
  // The kernel enables a patch only in its module's init function, so a disabled module must be removed first.
  if (!machine.isRoot) throw failure('not-root', {});
  const gone = await removeModule(machine, name);
  if (gone !== undefined) throw failure('unload-refused', { name, reason: gone });
  removeRecord(machine, name);
  return undefined;
}

/** Compares the digest; for a module loaded by another program the build-id, or without one the name. */
function sameBuild(machine: Machine, { name, buildId }: ModuleFile): boolean {
  const loaded = moduleBuildId(machine, name);
  return loaded === undefined || buildId === undefined || loaded === buildId;
}

async function insmod(machine: Machine, module: ModuleFile, path: string, report: Reporter): Promise<void> {
  const { name } = module;
  for (let attempt = 1; ; attempt++) {
    if (sha256(readRegularFile(path)) !== module.sha256) {
      throw failure('module-changed', { name }, { where: { file: path } });
    }
    const { ok, message } = await machine.control.insmod(path);
    if (ok) return;
    // klp_enable_patch returns EBUSY while another transition is running.
    if (!/busy/i.test(message)) {
      const detail = [message, ...(await machine.control.log(name))].join('\n');
      throw failure('load-failed', { name, reason: reasonOf(message) }, { where: { file: module.path }, detail });
    }
    if (attempt === ATTEMPTS) throw failure('load-busy', { name, attempts: ATTEMPTS }, { detail: message });
    report.note(
      `another transition is running; trying again in ${RETRY_MS / 1000} s (attempt ${attempt} of ${ATTEMPTS})`,
    );
    await machine.clock.sleep(RETRY_MS);
  }
}

/** insmod prints `ERROR: could not insert module FILE: Reason`. */
function reasonOf(message: string): string {
  const reason = message.split('\n')[0]?.replace(/^.*could not insert module .*?: /, '') ?? '';
  return reason === '' ? 'no reason given' : reason;
}

/** Waits until the patch is active; returns seconds. Errors: `transition-reverted`, `transition-left`. */
async function awaitEnabled(
  machine: Machine,
  { name }: ModuleFile,
  options: LoadOptions,
  report: Reporter,
): Promise<number> {
  const { onStall = 'revert' } = options;
  const { clock } = machine;
  const start = clock.now();
  const forget = onExit(() => turnRound(machine, name, '0'));
  const end = await report
    .stage(`transition of ${name}`, (update) => watchTransition(machine, name, watching(options, report, update)))
    .finally(forget);
  if (end.ended && loadedPatch(machine, name)?.enabled) return (clock.now() - start) / 1000;
  const seconds = Math.round(end.seconds);
  const detail = end.holdups.map(holdupLine).join('\n');
  if (end.ended) {
    await removeModule(machine, name);
    throw failure('load-failed', { name, reason: 'its transition was reversed by another program' });
  }
  if (onStall === 'leave') throw failure('transition-left', { name, seconds }, { detail });
  const reverted = await report.stage(`reversing the transition of ${name}`, () => reverseTransition(machine, name));
  if (reverted === 'completed' && loadedPatch(machine, name)?.enabled) return (clock.now() - start) / 1000;
  if (reverted === 'stuck') throw failure('transition-left', { name, seconds }, { detail });
  await removeModule(machine, name);
  throw failure('transition-reverted', { name, seconds }, { detail });
}

/** Reports progress and stalls while waiting for a transition. */
export function watching(options: LoadOptions, report: Reporter, update?: (text: string) => void): WatchOptions {
  return {
    waitMs: options.waitMs ?? WAIT_MS,
    onProgress: ({ done, total }) => update?.(`${done} of ${total} tasks`),
    onSignal: (holdups) => {
      report.note('the transition is stalled; signalling the tasks that block it:');
      for (const holdup of holdups) report.note(`  ${holdupLine(holdup)}`);
    },
  };
}

/**
 * Removes a module whose patch is disabled; returns the reason if it cannot. The kernel may still hold a reference, and a task may
 * still be in a function of the module: it would go on in memory that is gone.
 */
export async function removeModule(machine: Machine, name: string): Promise<string | undefined> {
  let reason = '';
  for (let attempt = 0; attempt < 50; attempt++) {
    if (!moduleLoaded(machine, name)) return undefined;
    // A worker drops the reference shortly after the transition has completed (klp_free_patch_async).
    // Looking at every stack costs more than looking at the count, so it comes second.
    const isUsed = moduleUsers(machine, name) !== 0;
    const inside = isUsed ? undefined : taskInside(machine, name);
    if (isUsed) reason = 'it is still in use';
    else if (inside !== undefined) {
      const at = inside.stack.find(({ module }) => module === name)?.function;
      reason = `${inside.command} (pid ${inside.pid}) is still in its function ${at}; unload it again when the task has left`;
    } else {
      const { ok, message } = await machine.control.rmmod(name);
      if (ok) return undefined;
      reason = message;
    }
    await machine.clock.sleep(100);
  }
  return reason.split('\n')[0] ?? reason;
}

async function removeReplaced(machine: Machine, name: string, report: Reporter): Promise<void> {
  const stays = await removeModule(machine, name);
  if (stays === undefined) removeRecord(machine, name);
  else report.warn(`${name} was replaced, but its module stays loaded: ${stays}`);
}

/** Something the user must know although the patch is loaded. */
async function raise(
  machine: Machine,
  { name, release }: ModuleFile,
  message: string,
  report: Reporter,
): Promise<void> {
  report.warn(message);
  await journal(machine, { outcome: 'alarm', message, release, patch: name });
}

async function note(machine: Machine, module: ModuleFile, error: unknown): Promise<void> {
  if (!(error instanceof KpatchError)) return;
  const { code } = error;
  const outcome =
    code === 'transition-reverted'
      ? 'reverted'
      : code === 'transition-left'
        ? 'left'
        : error.exit === 4
          ? 'refused'
          : 'failed';
  if (error.exit === 1) recordFailure(machine, { name: module.name, sha256: module.sha256, code, text: error.message });
  await journal(machine, {
    outcome,
    code,
    message: `${error.message}${error.detail === undefined ? '' : `: ${error.detail}`}`,
    release: module.release,
    patch: module.name,
    version: module.manifest?.version,
  });
}

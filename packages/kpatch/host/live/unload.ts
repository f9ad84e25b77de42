/** Disables a live patch and removes its module. */
import { join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { onExit } from '../../base/process/cleanup.ts';
import type { Reporter } from '../../base/report.ts';
import { journal } from '../machine/journal.ts';
import type { Machine } from '../machine/machine.ts';
import { runningKernel } from '../machine/running-kernel.ts';
import { livepatchFolder, loadedPatch, moduleLoaded } from './livepatches.ts';
import { type LoadOptions, removeModule, watching } from './load.ts';
import { removeRecord } from './loaded-record.ts';
import { holdupLine } from './stall.ts';
import { type ReverseOutcome, reverseTransition, turnRound, watchTransition } from './transition.ts';

export interface UnloadResult {
  readonly name: string;
  readonly seconds: number;
}

/**
 * Disables the patch, waits for the transition and removes the module. Works in any state: enabled, in transition in either
 * direction, disabled. The caller holds the lock.
 * Errors: `not-root`, `not-loaded`, `unload-reverted`, `transition-left`, `unload-refused`.
 */
export async function unloadPatch(
  machine: Machine,
  name: string,
  options: LoadOptions,
  report: Reporter,
): Promise<UnloadResult> {
  if (machine.offline) throw failure('machine-offline', {});
  const patch = loadedPatch(machine, name);
  if (patch === undefined && !moduleLoaded(machine, name)) throw failure('not-loaded', { name });
  if (!machine.isRoot) throw failure('not-root', {});
  const start = machine.clock.now();
  if (patch?.enabled) await disable(machine, name, options, report);
  else if (patch?.transition) await awaitDisabled(machine, name, options, report);
  report.note(`unloading patch module: ${name}`);
  const stays = await removeModule(machine, name);
  if (stays !== undefined) throw failure('unload-refused', { name, reason: stays });
  removeRecord(machine, name);
  const { release } = runningKernel(machine);
  await journal(machine, { outcome: 'unloaded', message: `live patch ${name} was unloaded`, release, patch: name });
  return { name, seconds: (machine.clock.now() - start) / 1000 };
}

async function disable(machine: Machine, name: string, options: LoadOptions, report: Reporter): Promise<void> {
  report.note(`disabling patch module: ${name}`);
  // The same write reverses a running transition or starts a new one.
  const file = join(livepatchFolder(machine), name, 'enabled');
  const { ok, message } = machine.control.write(file, '0');
  if (!ok && loadedPatch(machine, name)?.enabled) {
    const busy = /EBUSY/.test(message);
    const reason = busy ? 'another transition is running, or a later patch is on top of it' : message;
    throw failure('unload-refused', { name, reason });
  }
  await awaitDisabled(machine, name, options, report);
}

async function awaitDisabled(machine: Machine, name: string, options: LoadOptions, report: Reporter): Promise<void> {
  const forget = onExit(() => turnRound(machine, name, '1'));
  const end = await report
    .stage(`transition of ${name}`, (update) => watchTransition(machine, name, watching(options, report, update)))
    .finally(forget);
  if (end.ended) return;
  const seconds = Math.round(end.seconds);
  const detail = end.holdups.map(holdupLine).join('\n');
  const outcome: ReverseOutcome =
    options.onStall === 'leave'
      ? 'stuck'
      : await report.stage(`enabling ${name} again`, () => reverseTransition(machine, name));
  const { release } = runningKernel(machine);
  if (outcome === 'completed' && !loadedPatch(machine, name)?.enabled) return;
  const error =
    outcome === 'stuck'
      ? failure('transition-left', { name, seconds }, { detail })
      : failure('unload-reverted', { name, seconds }, { detail });
  const message = `${error.message}: ${detail}`;
  await journal(machine, {
    outcome: outcome === 'stuck' ? 'left' : 'reverted',
    message,
    release,
    patch: name,
    code: error.code,
  });
  throw error;
}

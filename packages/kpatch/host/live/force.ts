/** Completes a transition without waiting for the remaining tasks: the last resort. */

import { join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { plural } from '../../base/errors/plural.ts';
import { journal } from '../machine/journal.ts';
import type { Machine } from '../machine/machine.ts';
import { runningKernel } from '../machine/running-kernel.ts';
import { type LoadedPatch, livepatchFolder } from './livepatches.ts';
import type { Holdup } from './stall.ts';
import type { Progress } from './tasks.ts';
import { currentHoldups, patchInTransition, watchTransition } from './transition.ts';

export interface ForceResult {
  readonly patch: string;
  readonly progress: Progress;
  /** The tasks that still blocked the transition. */
  readonly holdups: readonly Holdup[];
}

/** The kernel completes a forced transition at its next attempt, at most a second later. */
const FORCED_MS = 10_000;

/** The patch in transition. Errors: `no-transition`, `not-root`. */
export function requireTransition(machine: Machine): LoadedPatch {
  const patch = patchInTransition(machine);
  if (patch === undefined) throw failure('no-transition', {});
  if (!machine.isRoot) throw failure('not-root', {});
  return patch;
}

/**
 * Forces the running transition after `confirm` agreed for that patch. The caller holds the lock.
 * Errors: `no-transition`, `not-root`, `not-confirmed`, `force-refused`.
 */
export async function forceTransition(
  machine: Machine,
  confirm: (patch: string, holdups: readonly Holdup[]) => Promise<boolean>,
): Promise<ForceResult> {
  const { name } = requireTransition(machine);
  const { progress, holdups } = currentHoldups(machine, name);
  if (!(await confirm(name, holdups))) throw failure('not-confirmed', { name });
  const { ok, message } = machine.control.write(join(livepatchFolder(machine), name, 'force'), '1');
  const { ended } = await watchTransition(machine, name, { waitMs: FORCED_MS });
  if (!ended) throw failure('force-refused', { name, reason: ok ? 'its transition is still running' : message });
  const { release } = runningKernel(machine);
  const text = `the transition of ${name} was forced with ${plural(progress.total - progress.done, 'task')} left`;
  await journal(machine, { outcome: 'forced', message: text, release, patch: name });
  return { patch: name, progress, holdups };
}

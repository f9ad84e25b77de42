/**
 * Watches a transition until it completes. The kernel switches a task when no patched function is on its stack, retries every
 * second, and signals the remaining tasks every 15 s (kernel/livepatch/transition.c). This module watches, explains, signals
 * as dynup/kpatch does, and enforces the time limit.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { onExit } from '../../base/process/cleanup.ts';
import { flagAttribute } from '../machine/attribute.ts';
import type { Machine } from '../machine/machine.ts';
import { aliasesOf } from './aliases.ts';
import { type LoadedPatch, livepatchFolder, loadedPatch, loadedPatches } from './livepatches.ts';
import { type Holdup, holdupOf, patchedNames } from './stall.ts';
import { type Progress, scanTasks, type Task } from './tasks.ts';

/** The times of dynup/kpatch: 15 s, then signals, then 60 s more. Milliseconds. */
export const SIGNAL_AFTER_MS = 15_000;
export const WAIT_MS = 75_000;
/** Most tasks have not switched when a transition is reversed, so that completes soon or is blocked by the same tasks. */
const REVERSE_MS = 60_000;
const POLL_MS = { first: 5, last: 200 } as const;
/** Counting tasks reads a file for each, so wait first: most transitions complete almost at once. */
const COUNT_AFTER_MS = 500;

export interface WatchOptions {
  /** Time limit, milliseconds. */
  readonly waitMs?: number;
  /** Called a few times a second with the number of switched and of all tasks. */
  readonly onProgress?: (progress: Progress) => void;
  /** Called when stalled tasks are signalled, with the tasks that block the transition. */
  readonly onSignal?: (holdups: readonly Holdup[]) => void;
}

export interface TransitionEnd {
  readonly ended: boolean;
  readonly seconds: number;
  /** The tasks that still blocked it, if it did not complete. */
  readonly holdups: readonly Holdup[];
  readonly signalled: boolean;
}

/** The patch in transition; the kernel has at most one. */
export function patchInTransition(machine: Machine): LoadedPatch | undefined {
  return loadedPatches(machine).find(({ transition }) => transition);
}

/** Waits until the patch `name` is not in transition or is gone. Signals tasks after part of the time. */
export async function watchTransition(
  machine: Machine,
  name: string,
  options: WatchOptions = {},
): Promise<TransitionEnd> {
  const { waitMs = WAIT_MS, onProgress, onSignal } = options;
  const { clock } = machine;
  const start = clock.now();
  const signalAt = Math.min(SIGNAL_AFTER_MS, waitMs / 5);
  const seen = new FirstSeen();
  let signalled = false;
  let pause: number = POLL_MS.first;
  for (;;) {
    const elapsed = clock.now() - start;
    if (!inTransition(machine, name)) return { ended: true, seconds: elapsed / 1000, holdups: [], signalled };
    if (elapsed >= COUNT_AFTER_MS || elapsed >= waitMs) {
      const { progress, remaining } = scanTasks(machine, targetOf(machine, name));
      onProgress?.(progress);
      const signalNow = !signalled && elapsed >= signalAt;
      const over = elapsed >= waitMs;
      seen.note(remaining(), clock.now());
      if (signalNow || over) {
        const holdups = seen.explain(machine, clock.now());
        if (over) return { ended: false, seconds: elapsed / 1000, holdups, signalled };
        onSignal?.(holdups);
        await signalTasks(machine, name, remaining(Number.POSITIVE_INFINITY));
        signalled = true;
      }
    }
    await clock.sleep(Math.min(pause, Math.max(1, waitMs - elapsed)));
    pause = Math.min(pause * 1.5, POLL_MS.last);
  }
}

/** The tasks that block the transition of a patch now. Does not wait. */
export function currentHoldups(machine: Machine, name: string): { progress: Progress; holdups: Holdup[] } {
  const { progress, remaining } = scanTasks(machine, targetOf(machine, name));
  const patches = loadedPatches(machine);
  const tasks = remaining();
  const aliases: ReadonlyMap<string, string> =
    tasks.length === 0 ? new Map() : aliasesOf(machine, patchedNames(patches));
  return { progress, holdups: tasks.map((task) => holdupOf(task, patches, aliases, 0)) };
}

/**
 * Signals tasks so that they leave the kernel and switch. Linux 5.1 and later also signal by themselves; older kernels have a
 * sysfs file for it. A user task is stopped and continued at once; a task that is already stopped stays stopped. Kernel
 * threads take no signals. Returns the number of signalled tasks.
 */
export async function signalTasks(machine: Machine, name: string, tasks: readonly Task[]): Promise<number> {
  const { control, clock } = machine;
  const file = join(livepatchFolder(machine), name, 'signal');
  if (existsSync(file)) {
    control.write(file, '1');
    return tasks.length;
  }
  const pids = new Set(
    tasks.filter(({ kernelThread, state }) => !kernelThread && !/[TtZX]/.test(state)).map(({ pid }) => pid),
  );
  pids.delete(process.pid);
  pids.delete(1); // init ignores SIGSTOP, and must never be stopped if it does not
  const goOn = (): void => {
    for (const pid of pids) control.signal(pid, 'SIGCONT');
  };
  // If this command is interrupted here, it must not leave tasks stopped.
  const forget = onExit(goOn);
  for (const pid of pids) control.signal(pid, 'SIGSTOP');
  if (pids.size > 0) await clock.sleep(20);
  goOn();
  forget();
  return pids.size;
}

/** Result of a reversal. `reversed`: the kernel is as before. `completed`: the transition had already completed. */
export type ReverseOutcome = 'reversed' | 'completed' | 'stuck';

/** Reverses a running transition and waits until it completes. */
export async function reverseTransition(
  machine: Machine,
  name: string,
  options: WatchOptions = {},
): Promise<ReverseOutcome> {
  const folder = join(livepatchFolder(machine), name);
  const before = loadedPatch(machine, name);
  if (before === undefined || !before.transition) return 'completed';
  const written = machine.control.write(join(folder, 'enabled'), before.enabled ? '0' : '1');
  const { ended } = await watchTransition(machine, name, { ...options, waitMs: options.waitMs ?? REVERSE_MS });
  if (!ended) return 'stuck';
  const after = loadedPatch(machine, name)?.enabled ?? false;
  return written.ok && after !== before.enabled ? 'reversed' : 'completed';
}

/** Reverses a running transition without waiting, for use when the command is interrupted. */
export function turnRound(machine: Machine, name: string, enabled: '0' | '1'): void {
  if (inTransition(machine, name)) machine.control.write(join(livepatchFolder(machine), name, 'enabled'), enabled);
}

function inTransition(machine: Machine, name: string): boolean {
  return flagAttribute(join(livepatchFolder(machine), name, 'transition')) ?? false;
}

/** The patch state to which tasks switch: 1 patched, 0 unpatched. */
function targetOf(machine: Machine, name: string): 0 | 1 {
  return flagAttribute(join(livepatchFolder(machine), name, 'enabled')) ? 1 : 0;
}

/** Remembers since when each task has been blocking. */
class FirstSeen {
  readonly #since = new Map<number, number>();
  #tasks: readonly Task[] = [];

  note(tasks: readonly Task[], now: number): void {
    this.#tasks = tasks;
    for (const { tid } of tasks) if (!this.#since.has(tid)) this.#since.set(tid, now);
  }

  explain(machine: Machine, now: number): Holdup[] {
    const patches = loadedPatches(machine);
    const aliases = aliasesOf(machine, patchedNames(patches));
    return this.#tasks.map((task) =>
      holdupOf(task, patches, aliases, (now - (this.#since.get(task.tid) ?? now)) / 1000),
    );
  }
}

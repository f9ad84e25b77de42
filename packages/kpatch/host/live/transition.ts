/**
 * Following a transition to its end. The kernel moves each task over when no patched function is on its stack, tries again
 * every second, and signals the rest every 15 s by itself (kernel/livepatch/transition.c). Here we watch, explain, signal
 * as dynup/kpatch does, and decide when it takes too long.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { onExit } from '../../base/cleanup.ts';
import { flagAttribute } from '../machine/attribute.ts';
import type { Machine } from '../machine/machine.ts';
import { aliasesOf } from './aliases.ts';
import { type LoadedPatch, livepatchFolder, loadedPatch, loadedPatches } from './livepatches.ts';
import { type Holdup, holdupOf, patchedNames } from './stall.ts';
import { type Progress, scanTasks, type Task } from './tasks.ts';

/** dynup/kpatch's times: 15 s, then signals, then 60 s more. Milliseconds. */
export const SIGNAL_AFTER_MS = 15_000;
export const WAIT_MS = 75_000;
/** A reverse runs over tasks that have mostly not moved: it ends soon, or is held up as the way forth was. */
const REVERSE_MS = 60_000;
const POLL_MS = { first: 5, last: 200 } as const;
/** Counting tasks reads one file for each: not while a transition is so young that it probably ends at once. */
const COUNT_AFTER_MS = 500;

export interface WatchOptions {
  /** Milliseconds to wait in all. */
  readonly waitMs?: number;
  /** Called with the tasks done of all, a few times a second. */
  readonly onProgress?: (progress: Progress) => void;
  /** Called when the stalled tasks are signalled, with what holds the transition up. */
  readonly onSignal?: (holdups: readonly Holdup[]) => void;
}

export interface TransitionEnd {
  readonly ended: boolean;
  readonly seconds: number;
  /** What still held it up, where it did not end. */
  readonly holdups: readonly Holdup[];
  readonly signalled: boolean;
}

/** The patch in transition; the kernel has at most one. */
export function patchInTransition(machine: Machine): LoadedPatch | undefined {
  return loadedPatches(machine).find(({ transition }) => transition);
}

/** Waits until the patch `name` is in no transition or is gone. Signals when a part of the time is over. */
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

/** What holds the running transition of a patch up now, without waiting. */
export function currentHoldups(machine: Machine, name: string): { progress: Progress; holdups: Holdup[] } {
  const { progress, remaining } = scanTasks(machine, targetOf(machine, name));
  const patches = loadedPatches(machine);
  const tasks = remaining();
  const aliases: ReadonlyMap<string, string> =
    tasks.length === 0 ? new Map() : aliasesOf(machine, patchedNames(patches));
  return { progress, holdups: tasks.map((task) => holdupOf(task, patches, aliases, 0)) };
}

/**
 * Wakes tasks so that they leave the kernel and come over. Kernels from 5.1 on signal by themselves too; older ones have a
 * file for it. A user task is stopped and continued at once; a task that is stopped already stays so, and kernel threads
 * take no signals. Returns how many were signalled.
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
  pids.delete(1); // init ignores a stop, and must never be stopped should it not
  const goOn = (): void => {
    for (const pid of pids) control.signal(pid, 'SIGCONT');
  };
  // Interrupted in between, this command must not leave half the machine stopped.
  const forget = onExit(goOn);
  for (const pid of pids) control.signal(pid, 'SIGSTOP');
  if (pids.size > 0) await clock.sleep(20);
  goOn();
  forget();
  return pids.size;
}

/** How a reverse came out. `reversed`: the kernel is as before. `completed`: the transition had ended on its own. */
export type ReverseOutcome = 'reversed' | 'completed' | 'stuck';

/** Turns a running transition round and waits for its end. */
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

/** Turns a transition round that still runs, without waiting: what is left to do when the command is interrupted. */
export function turnRound(machine: Machine, name: string, enabled: '0' | '1'): void {
  if (inTransition(machine, name)) machine.control.write(join(livepatchFolder(machine), name, 'enabled'), enabled);
}

function inTransition(machine: Machine, name: string): boolean {
  return flagAttribute(join(livepatchFolder(machine), name, 'transition')) ?? false;
}

/** The side to which tasks go: 1 patched, 0 not. */
function targetOf(machine: Machine, name: string): 0 | 1 {
  return flagAttribute(join(livepatchFolder(machine), name, 'enabled')) ? 1 : 0;
}

/** Remembers since when each task has been in the way. */
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

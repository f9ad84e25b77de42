/** Tasks and their patch state in a transition, from `/proc/PID/task/TID` (Documentation/livepatch/livepatch.rst). */

import { join } from 'node:path';
import { printableLine } from '../../base/text/printable.ts';
import { attribute, namesIn, numberAttribute } from '../machine/attribute.ts';
import type { Machine } from '../machine/machine.ts';

/** A task that has not switched yet. */
export interface Task {
  readonly pid: number;
  readonly tid: number;
  readonly command: string;
  /** One letter as in `/proc/PID/stat`: R running, S sleeping, D uninterruptible, T stopped, … */
  readonly state: string;
  readonly kernelThread: boolean;
  /** Kernel functions on its stack, innermost first; empty if it is running or its stack is not readable. */
  readonly stack: readonly Frame[];
}

export interface Frame {
  /** Function name. */
  readonly function: string;
  /** The module it belongs to; absent for vmlinux. */
  readonly module: string | undefined;
}

export interface Progress {
  /** Tasks that take part in the transition, except the idle task of each CPU, which is not in `/proc`. */
  readonly total: number;
  readonly done: number;
}

/** PF_KTHREAD of include/linux/sched.h, in the flags of `/proc/PID/stat`. */
const PF_KTHREAD = 0x00200000;

/** Inspecting a task reads its stack, so only this many are inspected; that is enough to explain a stall. */
const LOOK_AT = 50;

/**
 * Counts the tasks that have switched and inspects at most `limit` of the others (`remaining`). `target` is 1 while a patch
 * is being enabled and 0 while it is being disabled; a task that takes no part has -1. Tasks that exit in the meantime are
 * skipped.
 */
export function scanTasks(
  machine: Machine,
  target: 0 | 1,
): { progress: Progress; remaining: (limit?: number) => Task[] } {
  let total = 0;
  const left: string[] = [];
  for (const folder of taskFolders(machine)) {
    const side = numberAttribute(join(folder, 'patch_state'));
    if (side !== 0 && side !== 1) continue;
    total++;
    if (side !== target) left.push(folder);
  }
  return {
    progress: { total, done: total - left.length },
    remaining: (limit = LOOK_AT) => left.slice(0, limit).flatMap((folder) => readTask(folder) ?? []),
  };
}

/**
 * The first task with a function of the module on its stack. The kernel does not look for one before it removes a module: a transition
 * waits for the replaced functions only (klp_check_stack), and a replaced function that ends with a jump to another one of the
 * module is not on the stack while that one sleeps. Undefined also where the kernel shows no stacks (CONFIG_STACKTRACE).
 */
export function taskInside(machine: Machine, module: string): Task | undefined {
  for (const folder of taskFolders(machine)) {
    if (attribute(join(folder, 'stack'))?.includes(`[${module}`) !== true) continue;
    const task = readTask(folder);
    if (task?.stack.some((frame) => frame.module === module)) return task;
  }
  return undefined;
}

/** `/proc/PID/task/TID` of every task. */
function* taskFolders(machine: Machine): Generator<string> {
  for (const pid of namesIn(machine.proc)) {
    if (!/^\d+$/.test(pid)) continue;
    for (const tid of namesIn(join(machine.proc, pid, 'task'))) yield join(machine.proc, pid, 'task', tid);
  }
}

function readTask(folder: string): Task | undefined {
  const stat = attribute(join(folder, 'stat'));
  if (stat === undefined) return undefined;
  // The name is in parentheses and may contain any character, including parentheses and spaces.
  const end = stat.lastIndexOf(')');
  const fields = stat.slice(end + 2).split(' ');
  const [, pid = '0', tid = '0'] = /\/(\d+)\/task\/(\d+)$/.exec(folder) ?? [];
  return {
    pid: Number(pid),
    tid: Number(tid),
    command: printableLine(stat.slice(stat.indexOf('(') + 1, end)),
    state: fields[0] ?? '?',
    kernelThread: (Number(fields[6] ?? 0) & PF_KTHREAD) !== 0,
    stack: parseStack(attribute(join(folder, 'stack')) ?? ''),
  };
}

/** Parses lines such as `[<0>] pipe_read+0x12/0x80 [module]`. */
export function parseStack(text: string): Frame[] {
  return text.split('\n').flatMap((line) => {
    const [, name, module] = /\]\s+([^\s+]+)\+0x[0-9a-f]+\/0x[0-9a-f]+(?:\s+\[([^\]\s]+)[^\]]*\])?/.exec(line) ?? [];
    return name === undefined ? [] : [{ function: name, module }];
  });
}

/** Explains a stalled transition: for each task that blocks it, where the task is and what it waits for. */
import { isHiddenFromStacks } from '../../module/always-on-stack.ts';
import type { LoadedPatch } from './livepatches.ts';
import { functionsOf } from './livepatches.ts';
import type { Frame, Task } from './tasks.ts';

export interface Holdup {
  readonly pid: number;
  readonly tid: number;
  readonly command: string;
  readonly kernelThread: boolean;
  readonly state: string;
  /** The patched function on its stack; absent if there is none (the stack may be unreliable then). */
  readonly function?: string;
  /** Replaced functions that no stack in /proc shows: scheduler functions. The task may be in them. */
  readonly unseen?: readonly string[];
  /** Seconds since it was first seen blocking the transition. */
  readonly seconds: number;
  readonly waitsFor: string;
  readonly stack: readonly string[];
}

const states: Readonly<Record<string, string>> = {
  R: 'running',
  S: 'sleeping',
  D: 'in uninterruptible sleep',
  T: 'stopped',
  t: 'stopped by a debugger',
  I: 'idle',
  Z: 'zombie',
  X: 'ended',
  P: 'parked',
};

/** What a sleeping task waits for, by the functions on its stack; the first match counts. */
const waits: readonly (readonly [RegExp, string])[] = [
  [/pipe_(read|write|wait)|wait_for_partner/, 'data or space in a pipe'],
  [/n_tty_read|tty_read/, 'terminal input'],
  [/(inet_csk|unix|vsock)_accept/, 'a connection'],
  [/recvmsg|skb_wait|sk_wait_data|__skb_recv|unix_stream_read/, 'data from a socket'],
  [/sendmsg|sk_stream_wait|sock_alloc_send/, 'space in a socket buffer'],
  [/ep_poll|do_epoll|do_sys_poll|do_select|poll_schedule/, 'events (poll, select, epoll)'],
  [/futex/, 'a lock or condition variable of its program (futex)'],
  [/do_wait|kernel_wait4/, 'a child process'],
  [/nanosleep|hrtimer|schedule_timeout|msleep|usleep/, 'a timer'],
  [/sys_pause|sigsuspend|sigtimedwait|do_signal_stop|ptrace_stop|do_jobctl/, 'a signal'],
  [/vfork/, 'a program that it started (vfork)'],
  [/io_schedule|folio_wait|wait_on_page|bit_wait_io|blk_|submit_bio|nvme|scsi|jbd2|xlog/, 'a disk or filesystem'],
  [/nfs|rpc_wait|cifs|p9_client|fuse/, 'a file server'],
  [/mutex_lock|rwsem|down_(read|write)|down_interruptible|percpu_/, 'a kernel lock'],
  [/worker_thread|rescuer_thread/, 'work in its queue'],
  [/kthread|smpboot/, 'work (kernel thread)'],
];

/** The state of a task, in words. */
export function stateInWords(state: string): string {
  return states[state] ?? `in state ${state}`;
}

/** Names of the functions replaced by the patches. */
export function patchedNames(patches: readonly LoadedPatch[]): ReadonlySet<string> {
  return new Set(patches.flatMap((patch) => functionsOf(patch).map((patched) => patched.name)));
}

/**
 * Explains why a task blocks the transition of one of `patches`; `aliases` are other names of the patched functions.
 */
export function holdupOf(
  task: Task,
  patches: readonly LoadedPatch[],
  aliases: ReadonlyMap<string, string>,
  seconds: number,
): Holdup {
  const names = patchedNames(patches);
  const modules = new Set(patches.map((patch) => patch.name));
  // Original code appears under its own name; patched code is in the module of the patch.
  const isPatched = (frame: Frame): boolean => {
    if (frame.module !== undefined && modules.has(frame.module)) return true;
    if (aliases.has(frame.function)) return true;
    return names.has(frame.function.replace(/\.(cold|isra|constprop|part)\b.*$/, '')) || names.has(frame.function);
  };
  const found = task.stack.find(isPatched)?.function;
  const unseen = [...names].filter(isHiddenFromStacks);
  const stands = found === undefined ? undefined : (aliases.get(found) ?? found);
  return {
    pid: task.pid,
    tid: task.tid,
    command: task.command,
    kernelThread: task.kernelThread,
    state: stateInWords(task.state),
    ...(stands === undefined ? {} : { function: stands }),
    ...(stands === undefined && unseen.length > 0 ? { unseen } : {}),
    seconds,
    waitsFor: waitOf(task),
    stack: task.stack.map((frame) =>
      frame.module === undefined ? frame.function : `${frame.function} [${frame.module}]`,
    ),
  };
}

/** The explanation as one line for people. */
export function holdupLine(holdup: Holdup): string {
  const { pid, tid, command, kernelThread, state, seconds, waitsFor } = holdup;
  const who = `${command} (${kernelThread ? 'kernel thread' : 'pid'} ${tid === pid ? pid : `${pid}, thread ${tid}`})`;
  const where = whereIs(holdup);
  return `${who}: ${where}, ${state}, waits for ${waitsFor}; blocking for ${Math.round(seconds)} s`;
}

function whereIs({ function: stands, unseen }: Holdup): string {
  if (stands !== undefined) return `in ${stands}`;
  if (unseen === undefined) return 'no patched function on its stack';
  return `maybe in ${unseen.join(', ')}, which /proc/PID/stack never shows (it omits scheduler functions)`;
}

function waitOf(task: Task): string {
  if (task.state === 'R') return 'nothing: it is running and switches when it enters or leaves the kernel';
  if (task.state === 'T' || task.state === 't') return 'SIGCONT';
  for (const frame of task.stack) {
    const known = waits.find(([pattern]) => pattern.test(frame.function));
    if (known !== undefined) return known[1];
  }
  const innermost = task.stack[0];
  return innermost === undefined ? 'something unknown (cannot read its stack)' : `${innermost.function} to return`;
}

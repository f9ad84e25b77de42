/** Why a transition does not end: for each task that holds it up, where it stands and what it waits for. */
import type { LoadedPatch } from './livepatches.ts';
import { functionsOf } from './livepatches.ts';
import type { Frame, Task } from './tasks.ts';

export interface Holdup {
  readonly pid: number;
  readonly tid: number;
  readonly command: string;
  readonly kernelThread: boolean;
  readonly state: string;
  /** The patched function on its stack; absent where none is there (then the stack cannot be read reliably). */
  readonly function?: string;
  /** Seconds since it was first seen in the way. */
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
  Z: 'ended, not yet collected',
  X: 'ended',
  P: 'parked',
};

/** What the innermost known function of a sleeping stack waits for; the first that matches counts. */
const waits: readonly (readonly [RegExp, string])[] = [
  [/pipe_(read|write|wait)|wait_for_partner/, 'data or room in a pipe'],
  [/n_tty_read|tty_read/, 'input of a terminal'],
  [/(inet_csk|unix|vsock)_accept/, 'a connection'],
  [/recvmsg|skb_wait|sk_wait_data|__skb_recv|unix_stream_read/, 'data of a socket'],
  [/sendmsg|sk_stream_wait|sock_alloc_send/, 'room in a socket'],
  [/ep_poll|do_epoll|do_sys_poll|do_select|poll_schedule/, 'events (poll, select, epoll)'],
  [/futex/, 'a lock or condition of its own program (futex)'],
  [/do_wait|kernel_wait4/, 'a child process'],
  [/nanosleep|hrtimer|schedule_timeout|msleep|usleep/, 'a timer'],
  [/sys_pause|sigsuspend|sigtimedwait|do_signal_stop|ptrace_stop|do_jobctl/, 'a signal'],
  [/vfork/, 'the program that it started'],
  [/io_schedule|folio_wait|wait_on_page|bit_wait_io|blk_|submit_bio|nvme|scsi|jbd2|xlog/, 'a disk or filesystem'],
  [/nfs|rpc_wait|cifs|p9_client|fuse/, 'a file server'],
  [/mutex_lock|rwsem|down_(read|write)|down_interruptible|percpu_/, 'a lock of the kernel'],
  [/worker_thread|rescuer_thread/, 'work in its queue'],
  [/kthread|smpboot/, 'something to do (kernel thread)'],
];

/** What a task is doing, in words. */
export function stateInWords(state: string): string {
  return states[state] ?? `in state ${state}`;
}

/** Names of the functions that the patches replace. */
export function patchedNames(patches: readonly LoadedPatch[]): ReadonlySet<string> {
  return new Set(patches.flatMap((patch) => functionsOf(patch).map((patched) => patched.name)));
}

/**
 * Says of a task why it holds the transition of one of `patches` up; `aliases` are other names of the patched functions.
 */
export function holdupOf(
  task: Task,
  patches: readonly LoadedPatch[],
  aliases: ReadonlyMap<string, string>,
  seconds: number,
): Holdup {
  const names = patchedNames(patches);
  const modules = new Set(patches.map((patch) => patch.name));
  // The old code stands under its own name; code of a patch lies in the patch's module.
  const isPatched = (frame: Frame): boolean => {
    if (frame.module !== undefined && modules.has(frame.module)) return true;
    if (aliases.has(frame.function)) return true;
    return names.has(frame.function.replace(/\.(cold|isra|constprop|part)\b.*$/, '')) || names.has(frame.function);
  };
  const found = task.stack.find(isPatched)?.function;
  const stands = found === undefined ? undefined : (aliases.get(found) ?? found);
  return {
    pid: task.pid,
    tid: task.tid,
    command: task.command,
    kernelThread: task.kernelThread,
    state: stateInWords(task.state),
    ...(stands === undefined ? {} : { function: stands }),
    seconds,
    waitsFor: waitOf(task),
    stack: task.stack.map((frame) =>
      frame.module === undefined ? frame.function : `${frame.function} [${frame.module}]`,
    ),
  };
}

/** One line for people. */
export function holdupLine(holdup: Holdup): string {
  const { pid, tid, command, kernelThread, state, seconds, waitsFor } = holdup;
  const who = `${command} (${kernelThread ? 'kernel thread' : 'pid'} ${tid === pid ? pid : `${pid}, thread ${tid}`})`;
  const where = holdup.function === undefined ? 'no patched function is on its stack' : `in ${holdup.function}`;
  return `${who}: ${where}, ${state}, waits for ${waitsFor}; in the way for ${Math.round(seconds)} s`;
}

function waitOf(task: Task): string {
  if (task.state === 'R') return 'nothing: it runs, and comes over when it enters or leaves the kernel';
  if (task.state === 'T' || task.state === 't') return 'being continued (SIGCONT)';
  for (const frame of task.stack) {
    const known = waits.find(([pattern]) => pattern.test(frame.function));
    if (known !== undefined) return known[1];
  }
  const innermost = task.stack[0];
  return innermost === undefined ? 'something unknown (its stack cannot be read)' : `${innermost.function} to return`;
}

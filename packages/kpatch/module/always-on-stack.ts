/**
 * Functions that some task never leaves. A transition waits until no task has a patched function on its stack, so it cannot
 * complete while such a task lives. Build, proof and host share what is known here.
 */
import type { ElfObject, ElfSymbol, Section } from '../formats/elf/object.ts';
import { isText } from '../formats/elf/object.ts';
import { platforms } from '../platform/registry.ts';

/**
 * Functions of vmlinux in which some task of every running kernel waits, or which are on every stack. From the stacks of all
 * tasks (/proc/PID/stack) of idle 6.1 and 6.12 kernels, and the idle loop (kernel/sched/idle.c).
 */
const always: ReadonlySet<string> = new Set([
  ...[
    'ret_from_fork',
    'kthread',
    'kthreadd',
    'kthread_worker_fn',
    'worker_thread',
    'rescuer_thread',
    'smpboot_thread_fn',
  ],
  ...['rcu_gp_kthread', 'rcu_gp_fqs_loop', 'rcu_nocb_gp_kthread', 'rcu_nocb_cb_kthread', 'rcu_boost_kthread'],
  ...['rcu_tasks_one_gp', 'rcu_tasks_kthread', 'kswapd', 'kcompactd', 'khugepaged', 'ksm_scan_thread', 'oom_reaper'],
  ...['kauditd_thread', 'devtmpfsd', 'watchdog', 'irq_thread', 'migration_cpu_stop', 'io_wq_worker', 'io_sq_thread'],
  ...['do_idle', 'cpu_startup_entry', 'rest_init', 'start_kernel', 'start_secondary'],
]);

/**
 * Functions in the section `.sched.text` (`__sched`): every sleeping task is in some of them, and /proc/PID/stack leaves them out
 * (in_sched_functions, kernel/sched/core.c).
 */
const scheduler =
  /^(_*schedule(_idle|_timeout\w*|_preempt_disabled|_hrtimeout\w*|_user)?|preempt_schedule\w*|io_schedule(_timeout)?|yield(_to)?|_*cond_resched|_*wait_for_completion\w*|_*wait_for_common\w*|(out_of_line_|_*)wait_on_bit\w*|bit_wait\w*|_*mutex_lock(_interruptible|_killable|_io|_slowpath)?|_*down(_interruptible|_killable|_timeout|_read\w*|_write\w*|_common)?|rwsem_down_\w+|rt_mutex_(slow)?lock\w*|do_nanosleep)$/;

/** True for a function that no stack in /proc shows although a task is in it. */
export function isHiddenFromStacks(name: string): boolean {
  return scheduler.test(name);
}

/** Why the transition of a patch that replaces this function cannot complete; undefined if nothing is known against it. */
export function neverLeft(object: string, name: string): string | undefined {
  if (object !== 'vmlinux') return undefined;
  if (isHiddenFromStacks(name)) return 'sleeping tasks are in it (a scheduler function)';
  return always.has(name) || isOnEveryStack(name) ? 'some task of every running kernel is in it' : undefined;
}

/** Those of the machine's entry code: no machine has a function of another's name. */
function isOnEveryStack(name: string): boolean {
  return platforms().some(({ naming }) => naming.onEveryStack?.includes(name) === true);
}

/** Functions that start a thread with the function that they are given as its main function (include/linux/kthread.h). */
const creators =
  /^_*(kthread_create_on_(node|cpu)|kthread_create_worker\w*|kthread_run_worker\w*|kernel_thread|user_mode_thread|create_io_thread|vhost_task_create)$/;

/** Bytes between the place that names the function and the call that starts the thread. */
const NEAR = 160;

/** A relocation relative to the end of its field, as x86-64 has them, has the addend of the target less 4. */
const FIELD = 4;

/**
 * Those of `names` that are the main function of a kernel thread: their address is passed to a function that creates one. The
 * object must still have its relocations, as a compiled unit and a module file have.
 */
export function threadMains(object: ElfObject, names: ReadonlySet<string>): string[] {
  const wanted = object.symbols.filter(({ name, section }) => names.has(name) && typeof section === 'object');
  const found = new Set<string>();
  for (const section of object.sections.filter(isText)) {
    const calls = section.relocations.filter(({ symbol }) => symbol !== undefined && creators.test(symbol.name));
    if (calls.length === 0) continue;
    for (const { offset, symbol, addend } of section.relocations) {
      const target = symbol === undefined ? undefined : pointedTo(symbol, addend, wanted);
      if (target === undefined) continue;
      if (calls.some((call) => Math.abs(call.offset - offset) <= NEAR)) found.add(target.name);
    }
  }
  return [...found].sort();
}

function pointedTo(symbol: ElfSymbol, addend: number, wanted: readonly ElfSymbol[]): ElfSymbol | undefined {
  if (typeof symbol.section !== 'object') return undefined;
  const section: Section = symbol.section;
  const value = symbol.value + addend;
  return wanted.find((one) => one.section === section && (one.value === value || one.value === value + FIELD));
}

/** The warning about the main function of a thread. */
export function threadMainWarning(title: string): string {
  return `${title} is the main function of a kernel thread: the transition waits until no such thread runs it`;
}

/** The patch replaces no function that some task never leaves, because its transition could not complete. */

import { functionName } from '../input/subject.ts';
import type { StaticCheck } from '../run/check.ts';
import { ClaimFailed } from '../run/event.ts';

/**
 * Functions in which some task of every running kernel waits, or which are on every stack. From the stacks of all tasks
 * (/proc/PID/stack) of idle 6.1 and 6.12 kernels.
 */
const alwaysOnStacks: ReadonlySet<string> = new Set([
  'schedule',
  '__schedule',
  'ret_from_fork',
  'kthread',
  'kthreadd',
  'worker_thread',
  'rescuer_thread',
  'smpboot_thread_fn',
  'rcu_gp_kthread',
  'rcu_tasks_one_gp',
  'rcu_tasks_kthread',
  'kswapd',
  'kcompactd',
  'khugepaged',
  'ksm_scan_thread',
  'oom_reaper',
  'kauditd_thread',
  'devtmpfsd',
  'watchdog',
  'irq_thread',
  'do_idle',
  'cpu_startup_entry',
  'rest_init',
  'start_kernel',
  'do_syscall_64',
  'entry_SYSCALL_64_after_hwframe',
]);

export const stacks: StaticCheck = {
  id: 'stacks',
  title: "no patched function is permanently on a task's stack",
  where: 'files',
  applies: ({ subject }) => subject.functions !== undefined,
  async *run({ subject }) {
    const found = subject.functions!.filter(({ name, object }) => object === 'vmlinux' && alwaysOnStacks.has(name));
    if (found.length > 0) {
      throw new ClaimFailed(
        `some task is always in ${found.map(functionName).join(', ')}, so the transition cannot complete`,
      );
    }
    yield { text: `none of its functions is among the ${alwaysOnStacks.size} known ones` };
  },
};

/** The names of aarch64, which the kernel and Debian call arm64. */
import type { Naming } from '../naming.ts';

export const naming: Naming = {
  kernel: 'arm64',
  source: 'arm64',
  uname: 'aarch64',
  deb: 'arm64',
  rpm: 'aarch64',
  triple: 'aarch64-linux-gnu',
  options: ['ARM64'],
  lateObjtool: [],
  secondCompiler: ['COMPAT_VDSO'], // CROSS_COMPILE_COMPAT, arch/arm64/kernel/vdso32/Makefile
  systemCalls: ['__arm64_'], // arch/arm64/include/asm/syscall_wrapper.h, since 4.19
  // arch/arm64/kernel/entry.S, entry-common.c and syscall.c of 5.10 to 7.2
  onEveryStack: [
    ...['el0t_64_sync', 'el0t_64_sync_handler', 'el0_sync', 'el0_sync_handler', 'el0_svc', 'do_el0_svc'],
    ...['el0_svc_common', 'invoke_syscall', '__invoke_syscall', 'ret_to_user', 'cpu_switch_to', '__switch_to'],
  ],
};

/** The names of ppc64le, which the kernel calls powerpc and Debian ppc64el. */
import type { Naming } from '../naming.ts';

export const naming: Naming = {
  kernel: 'powerpc',
  source: 'powerpc',
  uname: 'ppc64le',
  deb: 'ppc64el',
  rpm: 'ppc64le',
  triple: 'powerpc64le-linux-gnu',
  options: ['PPC64', 'CPU_LITTLE_ENDIAN'],
  lateObjtool: [],
  systemCalls: [''], // arch/powerpc/include/asm/syscall_wrapper.h, since 6.1: the wrapper is sys_NAME itself
  // arch/powerpc/kernel/interrupt_64.S, syscall.c and process.c of 5.14 to 7.2
  onEveryStack: [
    ...[
      'system_call_exception',
      'system_call_common',
      'system_call_vectored_common',
      'ret_from_fork',
      'ret_from_kernel_thread',
    ],
    ...['ret_from_kernel_user_thread', 'start_kernel_thread', '_switch', '__switch_to'],
  ],
};

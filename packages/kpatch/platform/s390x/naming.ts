/** The names of s390x, which the kernel calls s390. */
import type { Naming } from '../naming.ts';

export const naming: Naming = {
  kernel: 's390',
  source: 's390',
  uname: 's390x',
  deb: 's390x',
  rpm: 's390x',
  triple: 's390x-linux-gnu',
  options: ['S390'],
  lateObjtool: [],
  // arch/s390/include/asm/syscall_wrapper.h: __s390x_sys_NAME and __s390_compat_sys_NAME (5.0 to 6.18)
  systemCalls: ['__s390x_', '__s390_'],
  // arch/s390/kernel/entry.S, syscall.c and process.c of 5.12 to 7.2
  onEveryStack: [
    ...['system_call', '__do_syscall', 'do_syscall', 'ret_from_fork', '__ret_from_fork', 'kernel_thread_starter'],
    ...['__switch_to', '__switch_to_asm'],
  ],
};

/** The names of x86-64. */
import type { Naming } from '../naming.ts';

export const naming: Naming = {
  kernel: 'x86_64',
  source: 'x86',
  uname: 'x86_64',
  deb: 'amd64',
  rpm: 'x86_64',
  triple: 'x86_64-linux-gnu',
  options: ['X86_64'],
  // 5.18 (ed53a0d97192): with IBT objtool runs on vmlinux and on linked modules.
  lateObjtool: ['X86_KERNEL_IBT'],
  systemCalls: ['__x64_', '__ia32_'],
  onEveryStack: ['do_syscall_64', 'entry_SYSCALL_64_after_hwframe', 'x64_sys_call'],
};

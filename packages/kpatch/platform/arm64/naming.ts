/** The names of aarch64, which the kernel and Debian call arm64. */
import type { Naming } from '../naming.ts';

export const naming: Naming = {
  kernel: 'arm64',
  source: 'arm64',
  uname: 'aarch64',
  debian: 'arm64',
  rpm: 'aarch64',
  triple: 'aarch64-linux-gnu',
  options: ['ARM64'],
  lateObjtool: [],
  secondCompiler: ['COMPAT_VDSO'], // CROSS_COMPILE_COMPAT, arch/arm64/kernel/vdso32/Makefile
};

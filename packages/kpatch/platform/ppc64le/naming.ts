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
};

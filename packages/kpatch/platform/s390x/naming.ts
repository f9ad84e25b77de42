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
};

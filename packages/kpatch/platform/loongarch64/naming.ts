/** The names of loongarch64, which Debian calls loong64. */
import type { Naming } from '../naming.ts';

export const naming: Naming = {
  kernel: 'loongarch',
  source: 'loongarch',
  uname: 'loongarch64',
  deb: 'loong64',
  rpm: 'loongarch64',
  triple: 'loongarch64-linux-gnu',
  options: ['LOONGARCH', '64BIT'],
  lateObjtool: [],
};

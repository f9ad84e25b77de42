/** bzImage: a boot program, with the packed kernel in it (arch/s390/boot/head.S). */
import type { BootImageRules } from '../boot-image.ts';

export const boot: BootImageRules = {
  open: (image) =>
    image.length > 0x10010 && image.toString('latin1', 0x10008, 0x1000e) === 'S390EP'
      ? 'packed kernels of this machine are not read yet; give its vmlinux'
      : undefined,
  lowestAddress: 0n, // linked at the low end until 6.8, and anywhere since
  absolutePerCpu: false,
};

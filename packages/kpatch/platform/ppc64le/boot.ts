/** zImage and vmlinux are ELF files, which need no unpacking here (arch/powerpc/boot/wrapper). */
import type { BootImageRules } from '../common/boot-image.ts';

export const boot: BootImageRules = {
  open: () => undefined,
  lowestAddress: 0xc000_0000_0000_0000n, // PAGE_OFFSET, arch/powerpc/Kconfig
  absolutePerCpu: false,
};

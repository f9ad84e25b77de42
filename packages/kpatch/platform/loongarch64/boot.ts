/** vmlinuz.efi is EFI's form of packed kernels; distributions also ship vmlinux. */
import { type BootImageRules, openEfiZboot } from '../common/boot-image.ts';

/** PE machine LoongArch64, in the header that all kernels begin with (arch/loongarch/kernel/head.S). */
const PE_MACHINE = 0x6264;

export const boot: BootImageRules = {
  open: (image) => openEfiZboot(image, PE_MACHINE),
  isFlat: (bytes) => bytes.length > 64 && bytes.readUInt16LE(0) === 0x5a4d && bytes.readUInt32LE(0x38) === 0x818223cd,
  lowestAddress: 0x9000_0000_0000_0000n, // CACHE_BASE, arch/loongarch/include/asm/addrspace.h
  absolutePerCpu: false,
};

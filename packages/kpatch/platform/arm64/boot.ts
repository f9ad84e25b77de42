/** Image is the kernel's memory, perhaps packed, perhaps in EFI's form (Documentation/arch/arm64/booting.rst). */
import { type BootImageRules, openEfiZboot } from '../common/boot-image.ts';

const PE_MACHINE = 0xaa64;

export const boot: BootImageRules = {
  open: (image) => openEfiZboot(image, PE_MACHINE),
  isFlat: (bytes) => bytes.length > 64 && bytes.toString('latin1', 0x38, 0x3c) === 'ARM\x64',
  relative: 1027, // R_AARCH64_RELATIVE; linked with --no-apply-dynamic-relocs (arch/arm64/Makefile)
  lowestAddress: 0xffff_0000_0000_0000n,
  absolutePerCpu: false,
};

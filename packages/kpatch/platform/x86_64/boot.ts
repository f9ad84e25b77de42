/** bzImage: a real-mode setup program, then the packed vmlinux (Documentation/arch/x86/boot.rst). */
import type { BootImage, BootImageRules } from '../common/boot-image.ts';

/** Offsets of the setup header. */
const HEADER = { sectors: 0x1f1, magic: 0x202, version: 0x206, kernelVersion: 0x20e, payload: 0x248, length: 0x24c };
const END = 0x260;

export const boot: BootImageRules = {
  open,
  // Kernel text is mapped at the top; modules and everything else of the kernel are in the upper half.
  lowestAddress: 0xffff_0000_0000_0000n,
  absolutePerCpu: true, // init/Kconfig: x86-64 with SMP; gone since 6.15
};

function open(image: Buffer): BootImage | string | undefined {
  const { sectors, magic, version, payload, length } = HEADER;
  if (image.length < END || image.toString('latin1', magic, magic + 4) !== 'HdrS') return undefined;
  if (image.readUInt16LE(version) < 0x208) return 'its boot protocol is older than 2.08';
  const start = ((image[sectors] || 4) + 1) * 512 + image.readUInt32LE(payload);
  const size = image.readUInt32LE(length);
  if (start + size > image.length || size < 16) return 'it is cut short';
  return { payload: image.subarray(start, start + size), release: releaseOf(image) };
}

/** The text that `kernel_version` points to, up to the first blank. */
function releaseOf(image: Buffer): string | undefined {
  const pointer = image.readUInt16LE(HEADER.kernelVersion);
  const start = pointer + 0x200;
  if (pointer === 0 || start > image.length) return undefined;
  return /^[^\s\0]{1,128}/.exec(image.toString('latin1', start, start + 128))?.[0];
}

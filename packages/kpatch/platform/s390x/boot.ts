/** bzImage: a boot program, with the packed memory of the kernel in it (arch/s390/boot/head.S, vmlinux.lds.S). */
import { crc32 } from 'node:zlib';
import type { BootImage, BootImageRules } from '../common/boot-image.ts';

/** Where head.S has the mark of kernels that take parameters. */
const MARK = 0x10008;

export const boot: BootImageRules = {
  open,
  relative: 12, // R_390_RELATIVE
  lowestAddress: 0n, // linked at the low end until 6.8, and anywhere since
  linkedAt: 0x10_0000n, // TEXT_OFFSET (arch/s390/include/asm/page.h, kernel/vmlinux.lds.S); a booting kernel moves itself
  absolutePerCpu: false,
};

function open(image: Buffer): BootImage | string | undefined {
  if (image.length < MARK + 64 || image.toString('latin1', MARK, MARK + 6) !== 'S390EP') return undefined;
  const start = packedStart(image);
  if (start === undefined) return 'no packed kernel of a known form is in it';
  return { payload: image.subarray(start), memory: true };
}

const packings = ['fd377a585a00', '1f8b08', '28b52ffd', '02214c18', '5d0000', '425a68'].map((magic) =>
  Buffer.from(magic, 'hex'),
);

/**
 * Where the packed kernel begins. Nothing in the file points to it, and the boot program has the same magic numbers in its own
 * code; but the packed kernel stands aligned in a section of its own, and xz has a check of its header.
 */
function packedStart(image: Buffer): number | undefined {
  for (const magic of packings) {
    for (let at = image.indexOf(magic, MARK); at >= 0; at = image.indexOf(magic, at + 1)) {
      const isXz = magic.length === 6;
      if (isXz && crc32(image.subarray(at + 6, at + 8)) !== image.readUInt32LE(at + 8)) continue;
      if (isXz || at % 8 === 0) return at;
    }
  }
  return undefined;
}

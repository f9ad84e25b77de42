/** The least kernel image: an ELF header and one segment that loads all of the file. */
import { x86_64 } from '#kpatch/platform/x86_64/machine.ts';

/** Where the image is in memory. */
export const loaded = 0xffffffff82000000n;

/** Bytes before the content. */
export const HEADER = 64 + 56;

export function leastImage(content: Buffer): Buffer {
  const header = Buffer.alloc(HEADER);
  header.write('\x7fELF\x02\x01\x01', 'latin1');
  header.writeUInt16LE(x86_64.machine, 18);
  header.writeBigUInt64LE(64n, 0x20);
  header.writeUInt16LE(56, 0x36);
  header.writeUInt16LE(1, 0x38);
  header.writeUInt32LE(1, 64);
  header.writeBigUInt64LE(loaded, 64 + 16);
  header.writeBigUInt64LE(BigInt(HEADER + content.length), 64 + 32);
  return Buffer.concat([header, content]);
}

/** The least ELF image with kallsyms tables of a layout. */
import { x86_64 } from '#kpatch/platform/x86_64/machine.ts';
import { kallsymsTables, type Layout } from '../kernel/kallsyms-writer.ts';

const base = 0xffffffff81000000n;
const loaded = base + 0x1000000n;
const HEADER = 64 + 56;

export function kernelImage(layout: Layout, count = 300): Buffer {
  const symbols = Array.from({ length: count }, (_, i) => ({
    name: `tested_${i}_step`,
    type: 'tTdD'[i % 4]!,
    address: base + BigInt(i * 32),
  }));
  const content = kallsymsTables(symbols, layout, base, 'little', loaded + BigInt(HEADER));
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

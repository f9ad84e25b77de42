/** The least ELF image with kallsyms tables of a layout. */
import { kallsymsTables, type Layout } from '../kernel/kallsyms-writer.ts';
import { HEADER, leastImage, loaded } from '../kernel/least-image.ts';

const base = 0xffffffff81000000n;
export function kernelImage(layout: Layout, count = 300): Buffer {
  const symbols = Array.from({ length: count }, (_, i) => ({
    name: `tested_${i}_step`,
    type: 'tTdD'[i % 4]!,
    address: base + BigInt(i * 32),
  }));
  const content = kallsymsTables(symbols, layout, base, 'little', loaded + BigInt(HEADER));
  return leastImage(content);
}

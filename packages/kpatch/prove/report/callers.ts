/** Finds the callers of a function of vmlinux: direct calls and jumps in code, pointers in data. */
import type { KernelImage } from '../../kernel/image.ts';
import type { Kallsyms } from '../../kernel/kallsyms.ts';

export interface Caller {
  readonly name: string;
  /** `pointer`: it is called through a table that contains its address. */
  readonly by: 'call' | 'pointer';
}

/** The callers by name, without duplicates, in address order. One pass over the image (about 50 MB) for all targets. */
export function callersOf(image: KernelImage, kallsyms: Kallsyms, targets: readonly bigint[]): Map<bigint, Caller[]> {
  const found = new Map<bigint, Map<string, Caller>>(targets.map((target) => [target, new Map()]));
  const add = (target: bigint, at: bigint, by: Caller['by']): void => {
    const name = kallsyms.symbolOf(at)?.name;
    const callers = found.get(target);
    // Tables that list every function of the kernel do not show callers.
    if (name !== undefined && /^(__start_|__stop_|__ksym|__param|orc_|kallsyms_)/.test(name)) return;
    if (name !== undefined && callers !== undefined && !callers.has(name)) callers.set(name, { name, by });
  };
  // Distances within the image fit in 32 bits, so the search works on plain numbers from the lowest address.
  const base = 0xffffffff80000000n;
  const wanted = new Map(targets.map((target) => [Number(target - base), target]));
  for (const { address, size, offset, hasBytes, executable } of image.sections) {
    if (!hasBytes || address < base || size < 8) continue;
    const start = Number(address - base);
    const bytes = image.bytes.subarray(offset, offset + size);
    if (executable) {
      for (let at = 0; at + 5 <= size; at++) {
        const opcode = bytes[at];
        // mov $address,%reg as REX.W C7 /0: the address is passed on to code that will call it.
        if (opcode === 0xc7 && bytes[at - 1] === 0x48 && (bytes[at + 1]! & 0xf8) === 0xc0 && at + 6 <= size) {
          const pointer = wanted.get(bytes.readUInt32LE(at + 2) - 0x80000000);
          if (pointer !== undefined) add(pointer, address + BigInt(at), 'pointer');
        }
        if (opcode !== 0xe8 && opcode !== 0xe9) continue;
        const target = wanted.get(start + at + 5 + bytes.readInt32LE(at + 1));
        if (target !== undefined) add(target, address + BigInt(at), 'call');
      }
      continue;
    }
    for (let at = 0; at + 8 <= size; at += 8) {
      // The upper half of every kernel address is all ones.
      if (bytes.readUInt32LE(at + 4) !== 0xffffffff) continue;
      const target = wanted.get(bytes.readUInt32LE(at) - 0x80000000);
      if (target !== undefined) add(target, address + BigInt(at), 'pointer');
    }
  }
  return new Map([...found].map(([target, callers]) => [target, [...callers.values()]]));
}

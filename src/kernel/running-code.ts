/**
 * The code that a target runs, as run-pre matching looks at it: of vmlinux, linked at its final addresses, or of a module,
 * laid out section after section with its relocations still symbolic.
 */
import { SHF, SHT, STT } from '../elf/constants.ts';
import type { ElfSymbol, Relocation, Section } from '../elf/object.ts';
import { readObject } from '../elf/read-object.ts';
import type { KernelImage } from './image.ts';
import type { Kallsyms } from './kallsyms.ts';

/** What a relocated field points to before the addend is taken off: an address, or a symbol that the loader will find. */
export type FieldTarget =
  | { readonly kind: 'address'; readonly address: bigint }
  | { readonly kind: 'external'; readonly name: string; readonly addend: bigint };

export interface CodeSymbol {
  readonly name: string;
  readonly address: bigint;
  /** As livepatch counts: 0 where the name is unique in this object. */
  readonly sympos: number;
}

export interface RunningCode {
  /** `vmlinux` or the module's name. */
  readonly object: string;
  /** Symbols of that name that are defined here, in the order in which livepatch counts them. */
  symbols(name: string): readonly CodeSymbol[];
  /** Bytes at an address, a view; undefined where not all of them are there. */
  read(address: bigint, length: number): Uint8Array | undefined;
  /** What the field of `size` bytes at `address` points to; `relative` fields count from themselves. */
  target(address: bigint, size: 4 | 8, relative: boolean): FieldTarget | undefined;
  /** The first symbol behind `address`: where what is there must have ended. */
  nextAddress(address: bigint): bigint | undefined;
  /** A name for an address, for messages: `meminfo_proc_show+0x10`. */
  describe(address: bigint): string;
}

/** The code of vmlinux by its image and its kallsyms. */
export function vmlinuxCode(image: KernelImage, kallsyms: Kallsyms): RunningCode {
  return {
    object: 'vmlinux',
    symbols: (name) => kallsyms.lookup(name),
    read: (address, length) => image.read(address, length),
    target(address, size, relative) {
      const field = image.read(address, size);
      if (field === undefined) return undefined;
      const value = size === 4 ? BigInt(field.readInt32LE(0)) : field.readBigInt64LE(0);
      return { kind: 'address', address: BigInt.asUintN(64, relative ? value + address : value) };
    },
    nextAddress: (address) => kallsyms.nextAddress(address),
    describe(address) {
      const symbol = kallsyms.symbolOf(address);
      return symbol === undefined ? hex(address) : withOffset(symbol.name, address - symbol.address);
    },
  };
}

const hex = (address: bigint): string => `0x${address.toString(16)}`;
const withOffset = (name: string, offset: bigint): string => (offset === 0n ? name : `${name}+${hex(offset)}`);

/** Room between the sections of a module, so that no field of one can point into another by accident. */
const GAP = 0x10000;

/**
 * The code of a module file (`.ko`, unpacked). Livepatch counts equal names in the order of its symbol table
 * (kernel/module/kallsyms.c, module_kallsyms_on_each_symbol). Errors: those of `readObject`.
 */
export function moduleCode(bytes: Uint8Array, object: string): RunningCode {
  const elf = readObject(bytes, `${object}.ko`);
  const bases = new Map<Section, number>();
  let top = GAP;
  for (const section of elf.sections) {
    if ((section.flags & SHF.ALLOC) === 0) continue;
    bases.set(section, top);
    const size = section.type === SHT.NOBITS ? section.nobitsSize : section.data.length;
    top = Math.ceil((top + size + GAP) / GAP) * GAP;
  }
  const addressOf = (symbol: ElfSymbol): number | undefined => {
    if (typeof symbol.section !== 'object') return undefined;
    const base = bases.get(symbol.section);
    return base === undefined ? undefined : base + symbol.value;
  };
  const byName = new Map<string, number[]>();
  for (const symbol of elf.symbols) {
    const address = addressOf(symbol);
    if (address === undefined || symbol.type === STT.SECTION || symbol.name === '') continue;
    const places = byName.get(symbol.name);
    if (places === undefined) byName.set(symbol.name, [address]);
    else places.push(address);
  }
  const sorted = [...byName].flatMap(([name, places]) => places.map((address) => ({ name, address })));
  sorted.sort((a, b) => a.address - b.address);
  const sectionAt = (address: number): [Section, number] | undefined => {
    for (const [section, base] of bases) {
      if (address >= base && address <= base + section.data.length) return [section, address - base];
    }
    return undefined;
  };
  const relocations = new Map<Section, Map<number, Relocation>>();
  const relocationAt = (section: Section, offset: number): Relocation | undefined => {
    let table = relocations.get(section);
    if (table === undefined) {
      table = new Map(section.relocations.map((relocation) => [relocation.offset, relocation]));
      relocations.set(section, table);
    }
    return table.get(offset);
  };
  return {
    object,
    symbols(name) {
      const places = byName.get(name) ?? [];
      return places.map((address, i) => ({ name, address: BigInt(address), sympos: places.length === 1 ? 0 : i + 1 }));
    },
    read(address, length) {
      const [section, offset] = sectionAt(Number(address)) ?? [];
      if (section === undefined || offset === undefined || offset + length > section.data.length) return undefined;
      return section.data.subarray(offset, offset + length);
    },
    target(address, size, relative) {
      const [section, offset] = sectionAt(Number(address)) ?? [];
      if (section === undefined || offset === undefined) return undefined;
      const relocation = relocationAt(section, offset);
      if (relocation?.symbol !== undefined) {
        const base = addressOf(relocation.symbol);
        const addend = BigInt(relocation.addend);
        if (base !== undefined) return { kind: 'address', address: BigInt(base) + addend };
        return { kind: 'external', name: relocation.symbol.name, addend };
      }
      if (offset + size > section.data.length) return undefined;
      const view = new DataView(section.data.buffer, section.data.byteOffset + offset, size);
      const value = size === 4 ? BigInt(view.getInt32(0, true)) : view.getBigInt64(0, true);
      return { kind: 'address', address: relative ? value + address : value };
    },
    nextAddress(address) {
      const next = sorted.find((symbol) => symbol.address > Number(address));
      return next === undefined ? undefined : BigInt(next.address);
    },
    describe(address) {
      const symbol = sorted.findLast((one) => one.address <= Number(address));
      return symbol === undefined ? hex(address) : withOffset(symbol.name, address - BigInt(symbol.address));
    },
  };
}

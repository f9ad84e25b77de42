/** The code of a module as run-pre matching looks at it: laid out section after section, its relocations still symbolic. */
import { SHF, SHT, STT } from '../formats/elf/constants.ts';
import { ElfFile } from '../formats/elf/file.ts';
import type { ElfSymbol, Relocation, Section } from '../formats/elf/object.ts';
import { objectOf } from '../formats/elf/read-object.ts';
import { type FieldTarget, hex, type RunningCode, vmlinuxCode, withOffset } from '../kernel/running-code.ts';
import type { KernelFacts } from '../prepare/facts.ts';

/** The code of an object of a kernel: `vmlinux` or a module's name. Errors: `kernel-module-unknown` and those of `moduleCode`. */
export async function runningCode(facts: KernelFacts, object: string): Promise<RunningCode> {
  if (object === 'vmlinux') return vmlinuxCode(facts.image, facts.kallsyms);
  return moduleCode(await facts.moduleFile(object), object);
}

/** Room between the sections of a module, so that no field of one can point into another by accident. */
const GAP = 0x10000;

/**
 * The code of a module file (`.ko`, unpacked). Livepatch counts equal names in the order of its symbol table
 * (kernel/module/kallsyms.c, module_kallsyms_on_each_symbol). Errors: those of `readObject`.
 */
export function moduleCode(module: Uint8Array | ElfFile, object: string): RunningCode {
  const elf = objectOf(module instanceof ElfFile ? module : new ElfFile(module, `${object}.ko`));
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
  const symbolic = (address: bigint): FieldTarget | undefined => {
    const [section, offset] = sectionAt(Number(address)) ?? [];
    if (section === undefined || offset === undefined) return undefined;
    const relocation = relocationAt(section, offset);
    if (relocation?.symbol === undefined) return undefined;
    const base = addressOf(relocation.symbol);
    const addend = BigInt(relocation.addend);
    if (base !== undefined) return { kind: 'address', address: BigInt(base) + addend };
    return { kind: 'external', name: relocation.symbol.name, addend };
  };
  return {
    object,
    symbolic,
    symbols(name) {
      const places = byName.get(name) ?? [];
      return places.map((address, i) => ({ name, address: BigInt(address), sympos: places.length === 1 ? 0 : i + 1 }));
    },
    read(address, length) {
      const [section, offset] = sectionAt(Number(address)) ?? [];
      if (section === undefined || offset === undefined || offset + length > section.data.length) return undefined;
      return section.data.subarray(offset, offset + length);
    },
    target(address, field) {
      const [section, offset] = sectionAt(Number(address)) ?? [];
      if (section === undefined || offset === undefined) return undefined;
      const said = symbolic(address);
      if (said !== undefined) return said;
      if (offset + field.size > section.data.length) return undefined;
      const value = field.value(section.data, offset);
      return { kind: 'address', address: field.relative ? value + address : value };
    },
    nextAddress(address) {
      const next = sorted.find((symbol) => symbol.address > Number(address));
      return next === undefined ? undefined : BigInt(next.address);
    },
    end(address) {
      const [section] = sectionAt(Number(address)) ?? [];
      if (section === undefined) return undefined;
      const end = bases.get(section)! + section.data.length;
      return BigInt(sorted.find((symbol) => symbol.address > Number(address) && symbol.address < end)?.address ?? end);
    },
    names: (address) => sorted.filter((symbol) => symbol.address === Number(address)).map(({ name }) => name),
    describe(address) {
      const symbol = sorted.findLast((one) => one.address <= Number(address));
      return symbol === undefined ? hex(address) : withOffset(symbol.name, address - BigInt(symbol.address));
    },
  };
}

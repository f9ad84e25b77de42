/** Objects of any size: a small one repeated, its functions and variables under new names, its tables and strings joined. */
import { STB, STT } from '#kpatch/formats/elf/constants.ts';
import type { ElfObject, ElfSymbol, Section } from '#kpatch/formats/elf/object.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { writeObject } from '#kpatch/formats/elf/write-object.ts';

/** The object's content `copies` times in one object. */
export function enlarge(bytes: Uint8Array, copies: number): Uint8Array {
  const base = readObject(bytes, 'base.o');
  const whole: ElfObject = { ...base, sections: [], symbols: [] };
  const joined = new Map<string, Section>();
  const pieces = new Map<Section, Uint8Array[]>();
  const sizes = new Map<Section, number>();
  for (let copy = 0; copy < copies; copy++) addCopy(base, whole, copy, joined, pieces, sizes);
  for (const [section, list] of pieces) section.data = new Uint8Array(Buffer.concat(list));
  return writeObject(whole);
}

function addCopy(
  base: ElfObject,
  whole: ElfObject,
  copy: number,
  joined: Map<string, Section>,
  pieces: Map<Section, Uint8Array[]>,
  sizes: Map<Section, number>,
): void {
  const homes = new Map<Section, { home: Section; at: number }>();
  for (const section of base.sections) {
    const own = /^\.(?:text|data|bss|rodata)\.[^.]/.test(section.name) && !/\.str\d/.test(section.name);
    let home = own ? undefined : joined.get(section.name);
    if (home === undefined) {
      home = { ...section, name: own ? `${section.name}_${copy}` : section.name, relocations: [] };
      whole.sections.push(home);
      if (!own) joined.set(section.name, home);
    }
    const align = Math.max(1, section.addralign);
    const at = Math.ceil((sizes.get(home) ?? 0) / align) * align;
    const list = pieces.get(home) ?? [];
    list.push(new Uint8Array(at - (sizes.get(home) ?? 0)), section.data);
    pieces.set(home, list);
    sizes.set(home, at + section.data.length);
    homes.set(section, { home, at });
  }
  const symbols = new Map<ElfSymbol, ElfSymbol>();
  for (const symbol of base.symbols) {
    if (typeof symbol.section !== 'object') {
      const known = whole.symbols.find(({ name, section }) => name === symbol.name && section === symbol.section);
      symbols.set(symbol, known ?? { ...symbol });
      if (known === undefined) whole.symbols.push(symbols.get(symbol)!);
      continue;
    }
    const { home, at } = homes.get(symbol.section)!;
    const local = symbol.bind === STB.LOCAL && (symbol.type === STT.SECTION || symbol.name.startsWith('.L'));
    const name = local ? symbol.name : symbol.name.replace(/^(\w+)/, `$1_${copy}`);
    const clone = { ...symbol, section: home, name, value: symbol.type === STT.SECTION ? 0 : symbol.value + at };
    symbols.set(symbol, clone);
    whole.symbols.push(clone);
  }
  for (const section of base.sections) {
    const { home, at } = homes.get(section)!;
    for (const { offset, type, symbol, addend } of section.relocations) {
      const target =
        symbol?.type === STT.SECTION && typeof symbol.section === 'object' ? homes.get(symbol.section)! : undefined;
      home.relocations.push({
        offset: offset + at,
        type,
        symbol: symbol === undefined ? undefined : symbols.get(symbol),
        addend: addend + (target?.at ?? 0),
      });
    }
  }
}

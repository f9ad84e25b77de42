/** Reads a relocatable object into the graph of `object.ts`. */
import { failure } from '../../base/errors/error.ts';
import { malformed, readI64, readU64 } from './bytes.ts';
import { ET, SHF, SHN, SHT, SIZE } from './constants.ts';
import { ElfFile, extendedIndices, kindOf, type RawSection, tableLength } from './file.ts';
import type { ElfObject, ElfSymbol, Place, Relocation, Section } from './object.ts';

const nothing = new Uint8Array(0);

/** Kinds of relocation sections that kpatch does not read. */
const unsupported: ReadonlyMap<number, string> = new Map([
  [SHT.REL, 'relocations without addends'],
  [SHT.CREL, 'compact relocations'],
  [SHT.RELR, 'packed relocations'],
]);

/**
 * Reads an ET_REL file (`.o`, `.ko`); `file` is its name for messages. Section data are views on `bytes`.
 * Errors: those of `ElfFile`, `elf-not-relocatable`, `elf-no-symbols`.
 */
export function readObject(bytes: Uint8Array, file: string): ElfObject {
  return objectOf(new ElfFile(bytes, file));
}

/** Like `readObject`, of a file whose headers were read. Errors: `elf-not-relocatable`, `elf-no-symbols`. */
export function objectOf(elf: ElfFile): ElfObject {
  const { file } = elf;
  if (elf.type !== ET.REL) {
    throw failure('elf-not-relocatable', { file, kind: kindOf(elf.type) }, { where: { file, offset: 16 } });
  }
  const table = elf.sections.find(({ type }) => type === SHT.SYMTAB);
  if (table === undefined) throw failure('elf-no-symbols', { file }, { where: { file, offset: 40 } });
  const sections = elf.sections.map((raw) => toSection(elf, raw));
  const symbols = readSymbols(elf, table, sections);
  const folded = readRelocations(elf, table, sections, symbols);
  readGroups(elf, sections, symbols, folded);
  readLinks(elf, sections);
  return {
    file,
    littleEndian: elf.littleEndian,
    machine: elf.machine,
    flags: elf.flags,
    osabi: elf.osabi,
    sections: sections.filter((section, index) => !isBookkeeping(elf, index) && !folded.has(section)),
    symbols: symbols.slice(1) as ElfSymbol[],
  };
}

/** Sections that only the file format needs: the model has their content elsewhere. */
function isBookkeeping(elf: ElfFile, index: number): boolean {
  const { type, flags } = elf.sections[index]!;
  if (type === SHT.STRTAB) return (flags & SHF.ALLOC) === 0;
  return type === SHT.NULL || type === SHT.SYMTAB || type === SHT.SYMTAB_SHNDX;
}

function toSection(elf: ElfFile, raw: RawSection): Section {
  const kind = unsupported.get(raw.type);
  if (kind !== undefined) {
    throw failure(
      'elf-unsupported',
      { file: elf.file, kind },
      { where: { file: elf.file, section: raw.name, offset: 0 } },
    );
  }
  // Alignments up to 16 MB: a larger one, or one that is not a power of two, would only blow up what is written later.
  if (raw.addralign > 0x1000000 || (raw.addralign & (raw.addralign - 1)) !== 0) {
    throw malformed(elf.file, `a section is aligned to ${raw.addralign}`, raw.name, 0);
  }
  if (!Number.isSafeInteger(raw.entsize))
    throw malformed(elf.file, 'the records of a section are too large', raw.name, 0);
  // Written out, not by newSection(): an object has thousands.
  return {
    name: raw.name,
    type: raw.type,
    flags: raw.flags,
    addralign: raw.addralign,
    entsize: raw.entsize,
    data: raw.type === SHT.RELA || raw.type === SHT.NOBITS || raw.size === 0 ? nothing : elf.data(raw),
    nobitsSize: raw.type === SHT.NOBITS ? raw.size : 0,
    relocations: [],
    target: undefined,
    link: undefined,
    group: undefined,
  };
}

function readSymbols(elf: ElfFile, table: RawSection, sections: readonly Section[]): (ElfSymbol | undefined)[] {
  const count = tableLength(elf, table, SIZE.SYM);
  const names = elf.strings(table.link);
  const extended = extendedIndices(elf, table, count);
  const { view, littleEndian: le } = elf;
  const symbols: (ElfSymbol | undefined)[] = [undefined];
  for (let index = 1; index < count; index++) {
    const at = table.offset + index * SIZE.SYM;
    const info = view.getUint8(at + 4);
    const value = readU64(view, at + 8, le);
    const size = readU64(view, at + 16, le);
    if (!Number.isSafeInteger(value) || !Number.isSafeInteger(size)) {
      throw malformed(elf.file, 'the value of a symbol is too large', table.name, index * SIZE.SYM);
    }
    const short = view.getUint16(at + 6, le);
    symbols.push({
      name: names.at(view.getUint32(at, le)),
      bind: info >> 4,
      type: info & 0xf,
      other: view.getUint8(at + 5),
      section: placeOf(
        elf,
        table,
        index,
        short === SHN.XINDEX,
        short === SHN.XINDEX ? extended(index) : short,
        sections,
      ),
      value,
      size,
    });
  }
  return symbols;
}

function placeOf(
  elf: ElfFile,
  table: RawSection,
  symbol: number,
  long: boolean,
  shndx: number,
  sections: readonly Section[],
): Place {
  if (shndx === SHN.UNDEF) return 'undef';
  if (!long && shndx >= SHN.LORESERVE) {
    if (shndx === SHN.ABS) return 'abs';
    return shndx === SHN.COMMON ? 'common' : shndx;
  }
  const section = sections[shndx];
  if (section === undefined) {
    throw malformed(elf.file, `a symbol is in section ${shndx}, which does not exist`, table.name, symbol * SIZE.SYM);
  }
  return section;
}

/** Reads all relocation sections; gives those whose entries were put into their target. */
function readRelocations(
  elf: ElfFile,
  table: RawSection,
  sections: readonly Section[],
  symbols: readonly (ElfSymbol | undefined)[],
): Set<Section> {
  const folded = new Set<Section>();
  const targets = new Set<Section>();
  for (const raw of elf.sections) {
    if (raw.type !== SHT.RELA) continue;
    const own = sections[raw.index]!;
    if (raw.link !== table.index) throw malformed(elf.file, 'relocations use another symbol table', raw.name, 0);
    const target = sections[raw.info];
    const targetRaw = elf.sections[raw.info];
    if (target === undefined || targetRaw === undefined || raw.info === 0 || targetRaw.type === SHT.RELA) {
      throw malformed(elf.file, `relocations apply to section ${raw.info}, which cannot have them`, raw.name, 0);
    }
    const targetSize = targetRaw.type === SHT.NOBITS ? 0 : targetRaw.size;
    const plain = (raw.flags & ~(SHF.INFO_LINK | SHF.GROUP)) === 0 && raw.name === `.rela${target.name}`;
    if (plain && !targets.has(target)) {
      targets.add(target);
      folded.add(own);
      if (target.name.startsWith('.debug_')) readLater(target, () => readEntries(elf, raw, symbols, targetSize));
      else target.relocations = readEntries(elf, raw, symbols, targetSize);
    } else {
      own.relocations = readEntries(elf, raw, symbols, targetSize);
      own.target = target;
    }
  }
  return folded;
}

/**
 * Debug information has more relocations than all the rest, and they are rarely needed, so they are read on demand.
 */
function readLater(section: Section, read: () => Relocation[]): void {
  const set = (value: Relocation[]): void => {
    Object.defineProperty(section, 'relocations', { value, writable: true, enumerable: true, configurable: true });
  };
  const get = (): Relocation[] => {
    const relocations = read();
    set(relocations);
    return relocations;
  };
  Object.defineProperty(section, 'relocations', { get, set, enumerable: true, configurable: true });
}

function readEntries(
  elf: ElfFile,
  raw: RawSection,
  symbols: readonly (ElfSymbol | undefined)[],
  targetSize: number,
): Relocation[] {
  const count = tableLength(elf, raw, SIZE.RELA);
  const { view, littleEndian: le } = elf;
  const relocations: Relocation[] = [];
  for (let index = 0; index < count; index++) {
    const at = raw.offset + index * SIZE.RELA;
    const offset = readU64(view, at, le);
    const symbol = view.getUint32(at + (le ? 12 : 8), le);
    const addend = readI64(view, at + 16, le);
    // R_*_NONE may be at the very end of a section; everything else changes at least one byte.
    if (offset > targetSize) {
      throw malformed(elf.file, 'a relocation is outside its section', raw.name, index * SIZE.RELA);
    }
    if (symbol >= symbols.length) {
      throw malformed(
        elf.file,
        `a relocation refers to symbol ${symbol}, which does not exist`,
        raw.name,
        index * SIZE.RELA,
      );
    }
    if (!Number.isSafeInteger(addend)) {
      throw malformed(elf.file, 'the addend of a relocation is too large', raw.name, index * SIZE.RELA);
    }
    relocations.push({ offset, type: view.getUint32(at + (le ? 8 : 12), le), symbol: symbols[symbol], addend });
  }
  return relocations;
}

function readGroups(
  elf: ElfFile,
  sections: readonly Section[],
  symbols: readonly (ElfSymbol | undefined)[],
  folded: ReadonlySet<Section>,
): void {
  for (const raw of elf.sections) {
    if (raw.type !== SHT.GROUP) continue;
    const count = tableLength(elf, raw, 4);
    const signature = symbols[raw.info];
    if (signature === undefined || count === 0)
      throw malformed(elf.file, 'a section group has no signature', raw.name, 0);
    const word = (index: number): number => elf.view.getUint32(raw.offset + index * 4, elf.littleEndian);
    const members: Section[] = [];
    for (let index = 1; index < count; index++) {
      const member = sections[word(index)];
      if (member === undefined || word(index) === 0) {
        throw malformed(
          elf.file,
          `a section group has section ${word(index)}, which does not exist`,
          raw.name,
          index * 4,
        );
      }
      if (!folded.has(member)) members.push(member);
    }
    const section = sections[raw.index]!;
    section.group = { flags: word(0), signature, members };
    section.data = new Uint8Array(0);
  }
}

function readLinks(elf: ElfFile, sections: readonly Section[]): void {
  for (const raw of elf.sections) {
    if ((raw.flags & SHF.LINK_ORDER) === 0 || raw.link === 0) continue;
    const link = sections[raw.link];
    if (link === undefined) throw malformed(elf.file, `it is linked to section ${raw.link}`, raw.name, 0);
    sections[raw.index]!.link = link;
  }
}

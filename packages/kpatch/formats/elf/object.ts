/**
 * A relocatable object as a graph that can be changed: sections hold their relocations, relocations point to symbols,
 * symbols point to sections. Indices exist only in files (`read-object.ts`, `write-object.ts`).
 */
import { SHF, SHT, STB, STT } from './constants.ts';

export interface ElfObject {
  /** Name for messages. */
  file: string;
  littleEndian: boolean;
  machine: number;
  /** `e_flags`. */
  flags: number;
  osabi: number;
  /** In the file's order. Without the tables that the file format itself needs (symbols, strings, folded relocations). */
  sections: Section[];
  /** In the file's order, without the empty first one. */
  symbols: ElfSymbol[];
}

export interface Section {
  name: string;
  type: number;
  flags: number;
  addralign: number;
  entsize: number;
  /** A view on the file's bytes after reading: replace it, do not write into it. Empty for NOBITS and SHT_RELA. */
  data: Uint8Array;
  /** Bytes in memory of a NOBITS section; unused otherwise. */
  nobitsSize: number;
  /**
   * The relocations of this section, sorted as the file has them. For a section of type SHT_RELA (one that is kept apart,
   * as `.klp.rela.*`): its own entries, which apply to `target`.
   */
  relocations: Relocation[];
  /** Of a SHT_RELA section that is kept apart: the section that its entries apply to (`sh_info`). */
  target: Section | undefined;
  /** Of a section with SHF_LINK_ORDER: the section it is about (`sh_link`). */
  link: Section | undefined;
  /** Of a SHT_GROUP section: its signature, flags and members (without the members' relocation sections). */
  group: Group | undefined;
}

export interface Group {
  flags: number;
  signature: ElfSymbol;
  members: Section[];
}

/** Where a symbol is defined: in a section, nowhere, as a number, as common storage, or at a special index of `SHN`. */
export type Place = Section | 'undef' | 'abs' | 'common' | number;

export interface ElfSymbol {
  name: string;
  /** `STB`. */
  bind: number;
  /** `STT`. */
  type: number;
  /** `st_other`, raw: visibility in the low two bits, ppc64's local entry in the high three. */
  other: number;
  section: Place;
  /** Bytes from the start of the section; the alignment of a common symbol; the number of an absolute one. */
  value: number;
  size: number;
}

export interface Relocation {
  /** Bytes from the start of the section that is relocated. */
  offset: number;
  /** `R_*` of the machine. */
  type: number;
  /** Absent for the relocations without a symbol (index 0), as R_X86_64_NONE or R_390_RELATIVE may be. */
  symbol: ElfSymbol | undefined;
  addend: number;
}

const nothing = new Uint8Array(0);

/** A new section; what is not given is zero or empty. */
export function newSection(fields: Partial<Section> & Pick<Section, 'name'>): Section {
  return {
    name: fields.name,
    type: fields.type ?? SHT.PROGBITS,
    flags: fields.flags ?? 0,
    addralign: fields.addralign ?? 1,
    entsize: fields.entsize ?? 0,
    data: fields.data ?? nothing,
    nobitsSize: fields.nobitsSize ?? 0,
    relocations: fields.relocations ?? [],
    target: fields.target,
    link: fields.link,
    group: fields.group,
  };
}

/** A new symbol; what is not given is zero, the place is undefined, the binding global. */
export function newSymbol(fields: Partial<ElfSymbol> & Pick<ElfSymbol, 'name'>): ElfSymbol {
  return { bind: STB.GLOBAL, type: STT.NOTYPE, other: 0, section: 'undef', value: 0, size: 0, ...fields };
}

/** A copy of an object that can be changed without changing the original. Section data are shared: replace, do not write. */
export function copyObject(object: ElfObject): ElfObject {
  const sections = new Map(object.sections.map((section) => [section, { ...section }]));
  const place = (at: Place): Place => (typeof at === 'object' ? (sections.get(at) ?? at) : at);
  const symbols = new Map(object.symbols.map((symbol) => [symbol, { ...symbol, section: place(symbol.section) }]));
  const copyOf = (symbol: ElfSymbol): ElfSymbol => symbols.get(symbol) ?? symbol;
  const sectionOf = (section: Section | undefined): Section | undefined =>
    section && (sections.get(section) ?? section);
  for (const section of sections.values()) {
    section.relocations = section.relocations.map((one) => ({ ...one, symbol: one.symbol && copyOf(one.symbol) }));
    section.target = sectionOf(section.target);
    section.link = sectionOf(section.link);
    const { group } = section;
    if (group === undefined) continue;
    const members = group.members.map((member) => sections.get(member) ?? member);
    section.group = { flags: group.flags, signature: copyOf(group.signature), members };
  }
  return { ...object, sections: [...sections.values()], symbols: [...symbols.values()] };
}

/** Bytes of a section in memory. */
export function sizeOf(section: Section): number {
  return section.type === SHT.NOBITS ? section.nobitsSize : section.data.length;
}

/** The section that a symbol is defined in. */
export function definedIn(symbol: ElfSymbol): Section | undefined {
  return typeof symbol.section === 'object' ? symbol.section : undefined;
}

/** True for a section with instructions that is loaded. */
export function isText(section: Section): boolean {
  return (section.flags & (SHF.ALLOC | SHF.EXECINSTR)) === (SHF.ALLOC | SHF.EXECINSTR);
}

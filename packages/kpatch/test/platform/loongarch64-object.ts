/** Objects of loongarch64 as gcc and the assembler would make them, written by the test: Debian 12 has clang for it, and no gcc. */
import { SHF, SHT, STB, STT } from '#kpatch/formats/elf/constants.ts';
import { type ElfObject, type ElfSymbol, newSection, newSymbol, type Section } from '#kpatch/formats/elf/object.ts';
import { writeObject } from '#kpatch/formats/elf/write-object.ts';

/** A reference: offset in the section, type, name of the symbol, addend. */
export type Reference = readonly [offset: number, type: number, symbol: string, addend?: number];

export interface Content {
  readonly bytes: Uint8Array;
  readonly references?: readonly Reference[];
}

export const NOP = 0x03400000;
export const RET = 0x4c000020;
export const BREAK = 0x002a0001;
/** Instructions; registers by number (a0 is 4). */
export const addiW = (rd: number, rj: number, value: number): number =>
  0x02800000 | ((value & 0xfff) << 10) | (rj << 5) | rd;
export const addiD = (rd: number, rj: number, value: number): number =>
  0x02c00000 | ((value & 0xfff) << 10) | (rj << 5) | rd;
export const ori = (rd: number, rj: number, value: number): number =>
  0x03800000 | ((value & 0xfff) << 10) | (rj << 5) | rd;
export const lu12i = (rd: number, value: number): number => 0x14000000 | ((value & 0xfffff) << 5) | rd;
export const pcala = (rd: number): number => 0x1a000000 | rd;
export const ldW = (rd: number, rj: number): number => 0x28800000 | (rj << 5) | rd;
export const BL = 0x54000000;
export const B = 0x50000000;

export function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of values.entries()) view.setUint32(index * 4, value >>> 0, true);
  return bytes;
}

/** Numbers of 4 or 2 bytes, little endian: `[value, size]`. */
export function fields(...values: readonly (readonly [number, number])[]): Uint8Array {
  const bytes: number[] = [];
  for (const [value, size] of values)
    for (let index = 0; index < size; index++) bytes.push((value >>> (8 * index)) & 0xff);
  return new Uint8Array(bytes);
}

const loongarch = { littleEndian: true, machine: 258, flags: 0x43 } as const;

export class ObjectWriter {
  readonly #object: ElfObject;
  readonly #pending: [Section, readonly Reference[]][] = [];
  readonly #symbols = new Map<string, ElfSymbol>();

  constructor(header: Pick<ElfObject, 'littleEndian' | 'machine' | 'flags'> = loongarch) {
    this.#object = { file: 'a.o', osabi: 0, sections: [], symbols: [], ...header };
  }

  section(name: string, { bytes, references = [] }: Content, fields: Partial<Section> = {}): Section {
    const section = newSection({ name, flags: SHF.ALLOC, addralign: 4, data: bytes, ...fields });
    this.#object.sections.push(section);
    this.#add(newSymbol({ name: '', bind: STB.LOCAL, type: STT.SECTION, section }), name);
    this.#pending.push([section, references]);
    return section;
  }

  /** A function in its own section, with two NOPs for ftrace at its entry and their place in the table. */
  function(name: string, body: Content, options: { local?: boolean; traced?: boolean } = {}): this {
    const { local = false, traced = true } = options;
    const bytes = new Uint8Array(Buffer.concat([words(NOP, NOP), body.bytes]));
    const references = (body.references ?? []).map(([offset, ...rest]): Reference => [offset + 8, ...rest]);
    const section = this.section(`.text.${name}`, { bytes, references }, { flags: SHF.ALLOC | SHF.EXECINSTR });
    const bind = local ? STB.LOCAL : STB.GLOBAL;
    this.#add(newSymbol({ name, bind, type: STT.FUNC, section, size: bytes.length }), name);
    if (traced) {
      const table = { bytes: new Uint8Array(8), references: [[0, 2, `.text.${name}`]] as const };
      this.section('__patchable_function_entries', table, {
        flags: SHF.ALLOC | SHF.WRITE | SHF.LINK_ORDER,
        link: section,
      });
    }
    return this;
  }

  /** A symbol that the section defines. */
  symbol(name: string, section: Section, fields: Partial<ElfSymbol>): this {
    this.#add(newSymbol({ name, section, ...fields }), name);
    return this;
  }

  /** A variable in its own section. */
  variable(name: string, bytes: Uint8Array): this {
    const section = this.section(`.data.${name}`, { bytes }, { flags: SHF.ALLOC | SHF.WRITE });
    this.#add(newSymbol({ name, bind: STB.LOCAL, type: STT.OBJECT, section, size: bytes.length }), name);
    return this;
  }

  strings(name: string, text: string): this {
    const flags = SHF.ALLOC | SHF.MERGE | SHF.STRINGS;
    this.section(name, { bytes: new Uint8Array(Buffer.from(`${text}\0`)) }, { flags, entsize: 1, addralign: 1 });
    return this;
  }

  /** A local label, which the assembler keeps as a symbol where it relaxes. */
  label(name: string, section: Section, value: number): this {
    this.#add(newSymbol({ name, bind: STB.LOCAL, section, value }), name);
    return this;
  }

  write(): Uint8Array {
    for (const [section, references] of this.#pending) {
      section.relocations = references.map(([offset, type, name, addend = 0]) => ({
        offset,
        type,
        symbol: name === '' ? undefined : (this.#symbols.get(name) ?? this.#add(newSymbol({ name }), name)),
        addend,
      }));
    }
    return writeObject(this.#object);
  }

  #add(symbol: ElfSymbol, key: string): ElfSymbol {
    this.#symbols.set(key, symbol);
    this.#object.symbols.push(symbol);
    return symbol;
  }
}

export { SHF, SHT };

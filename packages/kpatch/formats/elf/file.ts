/** Any ELF64 file as views on its bytes: nothing is copied, addresses are bigint. */
import { failure } from '../../base/errors/error.ts';
import { checkRange, malformed, readU64, type Source, StringTable } from './bytes.ts';
import { ELF_MAGIC, ET, NT_GNU_BUILD_ID, PT, SHN, SHT, SIZE } from './constants.ts';
import { type Note, parseNotes } from './note.ts';

/** A section header; `offset` and `size` are bytes in the file (`size` in memory for NOBITS). */
export interface RawSection {
  readonly index: number;
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly addr: bigint;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly addralign: number;
  readonly entsize: number;
}

/** A program header; `offset` and `filesz` are bytes in the file. */
export interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly vaddr: bigint;
  readonly paddr: bigint;
  readonly offset: number;
  readonly filesz: number;
  readonly memsz: bigint;
  readonly align: number;
}

/** A symbol as the file has it; `shndx` is the true index (SHN_XINDEX resolved), or a special one of `SHN`. */
export interface RawSymbol {
  readonly index: number;
  readonly name: string;
  readonly bind: number;
  readonly type: number;
  readonly other: number;
  readonly shndx: number;
  readonly value: bigint;
  readonly size: number;
}

/** First bytes of LLVM bitcode: `BC`, and that of its wrapper (llvm.org/docs/BitCodeFormat.html). */
const BITCODE = [0x4243c0de, 0xdec0170b];
const kinds: Readonly<Record<number, string>> = {
  [ET.REL]: 'a relocatable object',
  [ET.EXEC]: 'an executable',
  [ET.DYN]: 'a shared object',
  [ET.CORE]: 'a core dump',
};

/** Words for an `e_type`. */
export function kindOf(type: number): string {
  return kinds[type] ?? `a file of type ${type}`;
}

/** As many sections are searched for by name before names are put into a map. */
const FEW_LOOKUPS = 4;

let parsed = 0;

/** How many ELF files this process has parsed: shows that no file is parsed twice. */
export function parsedFiles(): number {
  return parsed;
}

export class ElfFile implements Source {
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly littleEndian: boolean;
  readonly type: number;
  readonly machine: number;
  readonly flags: number;
  readonly osabi: number;
  readonly entry: bigint;
  readonly sections: readonly RawSection[];
  readonly segments: readonly Segment[];
  readonly #strings = new Map<number, StringTable>();
  #byName: Map<string, RawSection> | undefined;
  #lookups = 0;

  /**
   * Reads the headers of an ELF64 file; `file` is its name for messages.
   * Errors: `elf-not-elf`, `elf-bitcode`, `elf-unsupported`, `elf-truncated`, `elf-malformed`.
   */
  constructor(bytes: Uint8Array, file: string) {
    parsed++;
    this.file = file;
    // A plain array: slice() of a Buffer is not a copy, and whoever changes a slice would change the file.
    this.bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const { view } = this;
    if (bytes.length >= 4 && BITCODE.includes(view.getUint32(0)))
      throw failure('elf-bitcode', { file }, { where: { file, offset: 0 } });
    if (bytes.length < 16 || view.getUint32(0) !== ELF_MAGIC)
      throw failure('elf-not-elf', { file }, { where: { file, offset: 0 } });
    const unsupported = (kind: string, offset: number): Error =>
      failure('elf-unsupported', { file, kind }, { where: { file, offset } });
    if (bytes[4] !== 2) throw unsupported(bytes[4] === 1 ? 'it is 32-bit' : `class ${bytes[4]}`, 4);
    if (bytes[5] !== 1 && bytes[5] !== 2) throw unsupported(`byte order ${bytes[5]}`, 5);
    if (bytes[6] !== 1) throw unsupported(`version ${bytes[6]}`, 6);
    this.littleEndian = bytes[5] === 1;
    this.osabi = bytes[7] ?? 0;
    checkRange(this, 0, SIZE.EHDR, 'the file header');
    const le = this.littleEndian;
    this.type = view.getUint16(16, le);
    this.machine = view.getUint16(18, le);
    this.entry = view.getBigUint64(24, le);
    this.flags = view.getUint32(48, le);
    this.sections = readSections(this);
    this.segments = readSegments(this);
  }

  /** The first section of that name. */
  section(name: string): RawSection | undefined {
    // A map of all names is worth it only to who asks often.
    if (this.#byName === undefined && ++this.#lookups <= FEW_LOOKUPS)
      return this.sections.find((section) => section.name === name);
    if (this.#byName === undefined) {
      this.#byName = new Map();
      for (const section of this.sections) {
        if (!this.#byName.has(section.name)) this.#byName.set(section.name, section);
      }
    }
    return this.#byName.get(name);
  }

  /** The bytes of a section, a view; empty for NOBITS. The range was checked when the file was read. */
  data(section: RawSection): Uint8Array {
    if (section.type === SHT.NOBITS || section.type === SHT.NULL) return new Uint8Array(0);
    // Faster than subarray(), which asks for the kind of array first.
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + section.offset, section.size);
  }

  /** The string table in the section of that index. Error: `elf-malformed`. */
  strings(index: number): StringTable {
    let strings = this.#strings.get(index);
    if (strings === undefined) {
      const section = this.sections[index];
      if (section === undefined || section.type !== SHT.STRTAB) {
        throw malformed(this.file, `section ${index} should be a string table`, undefined, 40);
      }
      strings = new StringTable(this.file, section.name, this.data(section), this.bytes.length);
      this.#strings.set(index, strings);
    }
    return strings;
  }

  /**
   * The symbols of `.symtab` (or of the table of type `type`), without the empty first one, in the file's order;
   * empty if there is no such table. Errors: `elf-malformed`.
   */
  symbols(type: number = SHT.SYMTAB): RawSymbol[] {
    const table = this.sections.find((section) => section.type === type);
    if (table === undefined) return [];
    const count = tableLength(this, table, SIZE.SYM);
    const names = this.strings(table.link);
    const extended = extendedIndices(this, table, count);
    const { view, littleEndian: le } = this;
    const symbols: RawSymbol[] = [];
    for (let index = 1; index < count; index++) {
      const at = table.offset + index * SIZE.SYM;
      const info = view.getUint8(at + 4);
      const short = view.getUint16(at + 6, le);
      symbols.push({
        index,
        name: names.at(view.getUint32(at, le)),
        bind: info >> 4,
        type: info & 0xf,
        other: view.getUint8(at + 5),
        shndx: short === SHN.XINDEX ? extended(index) : short,
        value: view.getBigUint64(at + 8, le),
        size: readU64(view, at + 16, le),
      });
    }
    return symbols;
  }

  /** All notes of the note sections, or of the note segments where there are no sections. Error: `elf-malformed`. */
  notes(): Note[] {
    const places: { data: Uint8Array; align: number }[] = [];
    for (const section of this.sections) {
      if (section.type === SHT.NOTE) places.push({ data: this.data(section), align: section.addralign });
    }
    if (places.length === 0) {
      for (const { type, offset, filesz, align } of this.segments) {
        if (type === PT.NOTE) places.push({ data: this.bytes.subarray(offset, offset + filesz), align });
      }
    }
    return places.flatMap(({ data, align }) => parseNotes(data, this.littleEndian, align, this.file));
  }

  /** The build id as hexadecimal digits. */
  buildId(): string | undefined {
    const note = this.notes().find(({ name, type }) => name === 'GNU' && type === NT_GNU_BUILD_ID);
    return note === undefined ? undefined : Buffer.from(note.desc).toString('hex');
  }
}

/** Number of records in a table section. Error: `elf-malformed` if its size is not a multiple of the record's. */
export function tableLength(source: Source, table: RawSection, record: number): number {
  if (table.entsize !== record || table.size % record !== 0) {
    const problem = `a table of ${table.size} bytes has records of ${table.entsize} bytes instead of ${record}`;
    throw malformed(source.file, problem, table.name, 0);
  }
  return table.size / record;
}

/** Gives the true section index of symbol `i` of the table, for symbols whose short index is SHN_XINDEX. */
export function extendedIndices(file: ElfFile, table: RawSection, count: number): (symbol: number) => number {
  const section = file.sections.find(({ type, link }) => type === SHT.SYMTAB_SHNDX && link === table.index);
  return (symbol) => {
    if (section === undefined || section.size < count * 4) {
      throw malformed(
        file.file,
        'a symbol has an extended section index, but there is no such table',
        table.name,
        symbol * SIZE.SYM,
      );
    }
    return file.view.getUint32(section.offset + symbol * 4, file.littleEndian);
  };
}

function readSections(file: ElfFile): RawSection[] {
  const { view, littleEndian: le } = file;
  const tableOffset = readU64(view, 40, le);
  if (tableOffset === 0) return [];
  const record = view.getUint16(58, le);
  if (record !== SIZE.SHDR) throw malformed(file.file, `section headers of ${record} bytes`, undefined, 58);
  checkRange(file, tableOffset, SIZE.SHDR, 'the section header table');
  // gABI: counts that do not fit the header are in the first section header.
  const count = view.getUint16(60, le) || readU64(view, tableOffset + 32, le);
  checkRange(file, tableOffset, count * SIZE.SHDR, 'the section header table');
  const short = view.getUint16(62, le);
  const namesIndex = short === SHN.XINDEX ? view.getUint32(tableOffset + 40, le) : short;
  let budget = file.bytes.length;
  const names = namesOf(file, tableOffset, count, namesIndex);
  const sections: RawSection[] = [];
  for (let index = 0; index < count; index++) {
    const at = tableOffset + index * SIZE.SHDR;
    const type = view.getUint32(at + 4, le);
    const flags = readU64(view, at + 8, le);
    const empty = type === SHT.NULL;
    const section = {
      index,
      name: empty || names === undefined ? '' : names.at(view.getUint32(at, le)),
      type,
      flags,
      addr: readAddress(view, at + 16, le),
      offset: empty ? 0 : readU64(view, at + 24, le),
      size: empty ? 0 : readU64(view, at + 32, le),
      link: view.getUint32(at + 40, le),
      info: view.getUint32(at + 44, le),
      addralign: readU64(view, at + 48, le),
      entsize: readU64(view, at + 56, le),
    };
    if (!Number.isSafeInteger(flags)) throw malformed(file.file, 'unknown section flags', undefined, at + 8);
    if (type === SHT.NOBITS) {
      if (section.size > 2 ** 40) throw malformed(file.file, `section ${index} is too large`, undefined, at + 32);
    } else if (!empty) {
      checkRange(file, section.offset, section.size, `section ${index}`);
      budget -= section.size;
      // Sections share no bytes; a file whose sections overlap could make us read each byte many times.
      if (budget < 0) throw malformed(file.file, 'its sections overlap', undefined, at + 24);
    }
    sections.push(section);
  }
  return sections;
}

/** Most addresses in relocatable objects are 0; the others are made as numbers of any size, which costs more. */
function readAddress(view: DataView, at: number, le: boolean): bigint {
  return view.getUint32(at, le) === 0 && view.getUint32(at + 4, le) === 0 ? 0n : view.getBigUint64(at, le);
}

/** The table of section names; undefined if the file has none. */
function namesOf(file: ElfFile, tableOffset: number, count: number, index: number): StringTable | undefined {
  if (index === 0) return undefined;
  const { view, littleEndian: le } = file;
  const at = tableOffset + index * SIZE.SHDR;
  if (index >= count || view.getUint32(at + 4, le) !== SHT.STRTAB) {
    throw malformed(file.file, `the section names should be in section ${index}`, undefined, 62);
  }
  const [offset, size] = [readU64(view, at + 24, le), readU64(view, at + 32, le)];
  checkRange(file, offset, size, 'the table of section names');
  return new StringTable(file.file, 'the section names', file.bytes.subarray(offset, offset + size), file.bytes.length);
}

function readSegments(file: ElfFile): Segment[] {
  const { view, littleEndian: le } = file;
  const tableOffset = readU64(view, 32, le);
  const count = view.getUint16(56, le);
  if (tableOffset === 0 || count === 0) return [];
  const record = view.getUint16(54, le);
  if (record !== SIZE.PHDR) throw malformed(file.file, `program headers of ${record} bytes`, undefined, 54);
  checkRange(file, tableOffset, count * SIZE.PHDR, 'the program header table');
  const segments: Segment[] = [];
  for (let index = 0; index < count; index++) {
    const at = tableOffset + index * SIZE.PHDR;
    const offset = readU64(view, at + 8, le);
    const filesz = readU64(view, at + 32, le);
    checkRange(file, offset, filesz, `segment ${index}`);
    segments.push({
      type: view.getUint32(at, le),
      flags: view.getUint32(at + 4, le),
      offset,
      vaddr: view.getBigUint64(at + 16, le),
      paddr: view.getBigUint64(at + 24, le),
      filesz,
      memsz: view.getBigUint64(at + 40, le),
      align: readU64(view, at + 48, le),
    });
  }
  return segments;
}

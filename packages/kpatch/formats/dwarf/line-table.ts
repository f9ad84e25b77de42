/**
 * Source lines of the code in a relocatable object, from `.debug_line` (DWARF 2 to 5, chapter 6.2). Debug information only
 * tells people where something is: where it is missing or malformed there is no answer, and never an error.
 */
import type { ElfObject, Relocation, Section } from '../elf/object.ts';

export interface SourceLine {
  readonly file: string;
  readonly line: number;
}

export interface LineTable {
  /** The line of the instruction that holds the byte at `offset` of a section. */
  at(section: Section, offset: number): SourceLine | undefined;
}

interface Row {
  readonly offset: number;
  readonly line: number;
  readonly file: string;
  /** True for the end of a run of code: the bytes from here on belong to no line. */
  readonly end: boolean;
}

type Rows = Map<Section, Row[]>;

const tables = new WeakMap<ElfObject, LineTable>();

/** The line table of an object; it is read at the first question. */
export function lineTableOf(object: ElfObject): LineTable {
  let table = tables.get(object);
  if (table === undefined) {
    let rows: Rows | undefined;
    table = {
      at(section, offset) {
        rows ??= readRows(object);
        return lookUp(rows.get(section), offset);
      },
    };
    tables.set(object, table);
  }
  return table;
}

function lookUp(rows: readonly Row[] | undefined, offset: number): SourceLine | undefined {
  if (rows === undefined) return undefined;
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle]!.offset <= offset) low = middle + 1;
    else high = middle;
  }
  const row = rows[low - 1];
  return row === undefined || row.end || row.line === 0 ? undefined : { file: row.file, line: row.line };
}

function readRows(object: ElfObject): Rows {
  const rows: Rows = new Map();
  for (const section of object.sections) {
    if (section.name !== '.debug_line') continue;
    try {
      new LineReader(object, section, rows).read();
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // the end of the section in the middle of a record
    }
  }
  for (const list of rows.values()) list.sort((a, b) => a.offset - b.offset || Number(b.end) - Number(a.end));
  return rows;
}

/** Opcodes of the line program. */
const LNS = { copy: 1, advancePc: 2, advanceLine: 3, setFile: 4, constAddPc: 8, fixedAdvancePc: 9 } as const;
const LNE = { endSequence: 1, setAddress: 2 } as const;
const LNCT = { path: 1, directory: 2 } as const;
const FORM = {
  string: 0x08,
  udata: 0x0f,
  strp: 0x0e,
  lineStrp: 0x1f,
  data1: 0x0b,
  data2: 0x05,
  data4: 0x06,
  data8: 0x07,
  data16: 0x1e,
  block: 0x09,
} as const;

interface Header {
  readonly version: number;
  readonly minimum: number;
  readonly lineBase: number;
  readonly lineRange: number;
  readonly opcodeBase: number;
  readonly operands: readonly number[];
  readonly files: readonly string[];
}

class LineReader {
  readonly #object: ElfObject;
  readonly #rows: Rows;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #le: boolean;
  readonly #relocations: ReadonlyMap<number, Relocation>;
  #at = 0;

  constructor(object: ElfObject, section: Section, rows: Rows) {
    this.#object = object;
    this.#rows = rows;
    this.#bytes = section.data;
    this.#view = new DataView(section.data.buffer, section.data.byteOffset, section.data.length);
    this.#le = object.littleEndian;
    this.#relocations = new Map(section.relocations.map((relocation) => [relocation.offset, relocation]));
  }

  read(): void {
    while (this.#at + 4 < this.#bytes.length) {
      const length = this.#u32();
      if (length >= 0xfffffff0) return; // 64-bit DWARF, which no compiler uses for kernels
      const end = Math.min(this.#bytes.length, this.#at + length);
      this.#unit(end);
      this.#at = end;
    }
  }

  #unit(end: number): void {
    const version = this.#u16();
    if (version < 2 || version > 5) return;
    if (version >= 5) this.#at += 2; // sizes of addresses and segments
    const headerLength = this.#u32();
    const program = this.#at + headerLength;
    const minimum = this.#u8();
    if (version >= 4) this.#at++; // operations per instruction, for VLIW
    this.#at++; // whether lines begin statements
    const lineBase = this.#view.getInt8(this.#at++);
    const lineRange = this.#u8();
    const opcodeBase = this.#u8();
    if (lineRange === 0 || opcodeBase === 0) return;
    const operands = [0];
    for (let opcode = 1; opcode < opcodeBase; opcode++) operands.push(this.#u8());
    const files = version >= 5 ? this.#files5() : this.#files();
    this.#at = program;
    this.#program({ version, minimum, lineBase, lineRange, opcodeBase, operands, files }, end);
  }

  /** DWARF 2 to 4: lists of strings, each ended by an empty one. Files count from 1. */
  #files(): string[] {
    const folders = [''];
    for (let name = this.#string(); name !== ''; name = this.#string()) folders.push(name);
    const files = [''];
    for (let name = this.#string(); name !== ''; name = this.#string()) {
      const folder = folders[this.#uleb()] ?? '';
      this.#uleb();
      this.#uleb();
      files.push(join(folder, name));
    }
    return files;
  }

  /** DWARF 5: tables that describe their own form. Files count from 0. */
  #files5(): string[] {
    const folders = this.#entries().map(({ path }) => path);
    return this.#entries().map(({ path, folder }) => join(folder === 0 ? '' : (folders[folder] ?? ''), path));
  }

  #entries(): { path: string; folder: number }[] {
    const formats: [number, number][] = [];
    const formatCount = this.#u8();
    for (let index = 0; index < formatCount; index++) formats.push([this.#uleb(), this.#uleb()]);
    const count = this.#uleb();
    const entries: { path: string; folder: number }[] = [];
    if (formatCount === 0) return entries;
    for (let index = 0; index < count; index++) {
      const entry = { path: '', folder: 0 };
      for (const [content, form] of formats) {
        const value = this.#value(form);
        if (content === LNCT.path) entry.path = String(value);
        else if (content === LNCT.directory) entry.folder = Number(value);
      }
      entries.push(entry);
    }
    return entries;
  }

  #value(form: number): string | number {
    switch (form) {
      case FORM.string:
        return this.#string();
      case FORM.lineStrp:
        return this.#stringAt('.debug_line_str');
      case FORM.strp:
        return this.#stringAt('.debug_str');
      case FORM.udata:
        return this.#uleb();
      case FORM.data1:
        return this.#u8();
      case FORM.data2:
        return this.#u16();
      case FORM.data4:
        return this.#u32();
      case FORM.data8:
        return this.#skip(8);
      case FORM.data16:
        return this.#skip(16);
      case FORM.block:
        return this.#skip(this.#uleb());
      default:
        throw new RangeError('unknown form');
    }
  }

  #program(header: Header, end: number): void {
    let section: Section | undefined;
    let offset = 0;
    let line = 1;
    let file = 1;
    const row = (last: boolean): void => {
      if (section === undefined) return;
      let list = this.#rows.get(section);
      if (list === undefined) {
        list = [];
        this.#rows.set(section, list);
      }
      const before = list.at(-1);
      const name = header.files[file] ?? '';
      if (before !== undefined && !before.end && !last && before.line === line && before.file === name) return;
      list.push({ offset, line, file: name, end: last });
    };
    while (this.#at < end) {
      const opcode = this.#u8();
      if (opcode >= header.opcodeBase) {
        const adjusted = opcode - header.opcodeBase;
        offset += Math.floor(adjusted / header.lineRange) * header.minimum;
        line += header.lineBase + (adjusted % header.lineRange);
        row(false);
      } else if (opcode === 0) {
        const length = this.#uleb();
        const next = this.#at + length;
        const extended = this.#u8();
        if (extended === LNE.endSequence) {
          row(true);
          [section, offset, line, file] = [undefined, 0, 1, 1];
        } else if (extended === LNE.setAddress) {
          const relocation = this.#relocations.get(this.#at);
          const home = relocation?.symbol?.section;
          section = typeof home === 'object' ? home : undefined;
          offset = (relocation?.symbol?.value ?? 0) + (relocation?.addend ?? 0);
        }
        this.#at = next;
      } else if (opcode === LNS.copy) row(false);
      else if (opcode === LNS.advancePc) offset += this.#uleb() * header.minimum;
      else if (opcode === LNS.advanceLine) line += this.#sleb();
      else if (opcode === LNS.setFile) file = this.#uleb();
      else if (opcode === LNS.constAddPc) {
        offset += Math.floor((255 - header.opcodeBase) / header.lineRange) * header.minimum;
      } else if (opcode === LNS.fixedAdvancePc) {
        if (this.#relocations.has(this.#at)) section = undefined; // the linker decides (relaxation)
        offset += this.#u16();
      } else for (let count = header.operands[opcode] ?? 0; count > 0; count--) this.#uleb();
    }
  }

  #skip(length: number): number {
    this.#at += length;
    if (this.#at > this.#bytes.length) throw new RangeError('the section ends');
    return 0;
  }

  #u8(): number {
    return this.#view.getUint8(this.#at++);
  }

  #u16(): number {
    this.#at += 2;
    return this.#view.getUint16(this.#at - 2, this.#le);
  }

  #u32(): number {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, this.#le);
  }

  #uleb(): number {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = this.#u8();
      if (shift < 2 ** 42) value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
  }

  #sleb(): number {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = this.#u8();
      if (shift < 2 ** 42) value += (byte & 0x7f) * shift;
      if (byte < 0x80) return (byte & 0x40) !== 0 ? value - shift * 128 : value;
    }
  }

  #string(): string {
    const end = this.#bytes.indexOf(0, this.#at);
    if (end < 0) throw new RangeError('a string has no end');
    const text = Buffer.from(this.#bytes.subarray(this.#at, Math.min(end, this.#at + 4096))).toString('latin1');
    this.#at = end + 1;
    return text;
  }

  /** A string of another section; the place is in the relocation, as addends are. */
  #stringAt(name: string): string {
    const relocation = this.#relocations.get(this.#at);
    const place = this.#u32();
    const home = relocation?.symbol?.section;
    const section = typeof home === 'object' ? home : this.#object.sections.find((one) => one.name === name);
    const at = relocation === undefined ? place : (relocation.symbol?.value ?? 0) + relocation.addend;
    if (section === undefined || at < 0 || at >= section.data.length) return '';
    const end = section.data.indexOf(0, at);
    return Buffer.from(section.data.subarray(at, end < 0 ? at : Math.min(end, at + 4096))).toString('latin1');
  }
}

function join(folder: string, name: string): string {
  return folder === '' || name.startsWith('/') ? name : `${folder}/${name}`;
}

/**
 * Source lines of the code in a relocatable object, from `.debug_line` (DWARF 2 to 5, chapter 6.2). Debug information only
 * tells people where something is: where it is missing or malformed there is no answer, and never an error.
 */
import type { ElfObject, Relocation, Section } from '../elf/object.ts';
import { DwarfCursor } from './cursor.ts';

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
  readonly #cursor: DwarfCursor;
  readonly #size: number;
  readonly #relocations: ReadonlyMap<number, Relocation>;

  constructor(object: ElfObject, section: Section, rows: Rows) {
    this.#object = object;
    this.#rows = rows;
    this.#size = section.data.length;
    this.#relocations = new Map(section.relocations.map((relocation) => [relocation.offset, relocation]));
    this.#cursor = new DwarfCursor(section.data, object.littleEndian, { at: (offset) => this.#value(offset) });
  }

  /** What a relocation puts into a field. */
  #value(offset: number): number | undefined {
    const relocation = this.#relocations.get(offset);
    return relocation === undefined ? undefined : (relocation.symbol?.value ?? 0) + relocation.addend;
  }

  read(): void {
    const cursor = this.#cursor;
    while (cursor.at + 4 < this.#size) {
      const length = cursor.u32();
      if (length >= 0xfffffff0) return; // 64-bit DWARF, which no compiler uses for kernels
      const end = Math.min(this.#size, cursor.at + length);
      this.#unit(end);
      cursor.at = end;
    }
  }

  #unit(end: number): void {
    const cursor = this.#cursor;
    const version = cursor.u16();
    if (version < 2 || version > 5) return;
    if (version >= 5) cursor.at += 2; // sizes of addresses and segments
    const headerLength = cursor.u32();
    const program = cursor.at + headerLength;
    const minimum = cursor.u8();
    if (version >= 4) cursor.at++; // operations per instruction, for VLIW
    cursor.at++; // whether lines begin statements
    const lineBase = cursor.i8();
    const lineRange = cursor.u8();
    const opcodeBase = cursor.u8();
    if (lineRange === 0 || opcodeBase === 0) return;
    const operands = [0];
    for (let opcode = 1; opcode < opcodeBase; opcode++) operands.push(cursor.u8());
    const files = version >= 5 ? this.#files5() : this.#files();
    cursor.at = program;
    this.#program({ version, minimum, lineBase, lineRange, opcodeBase, operands, files }, end);
  }

  /** DWARF 2 to 4: lists of strings, each ended by an empty one. Files count from 1. */
  #files(): string[] {
    const cursor = this.#cursor;
    const folders = [''];
    for (let name = cursor.text(); name !== ''; name = cursor.text()) folders.push(name);
    const files = [''];
    for (let name = cursor.text(); name !== ''; name = cursor.text()) {
      const folder = folders[cursor.uleb()] ?? '';
      cursor.uleb();
      cursor.uleb();
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
    const cursor = this.#cursor;
    const formats: [number, number][] = [];
    const formatCount = cursor.u8();
    for (let index = 0; index < formatCount; index++) formats.push([cursor.uleb(), cursor.uleb()]);
    const count = cursor.uleb();
    const entries: { path: string; folder: number }[] = [];
    if (formatCount === 0) return entries;
    for (let index = 0; index < count; index++) {
      const entry = { path: '', folder: 0 };
      for (const [content, form] of formats) {
        const value = this.#field(form);
        if (content === LNCT.path) entry.path = String(value);
        else if (content === LNCT.directory) entry.folder = Number(value);
      }
      entries.push(entry);
    }
    return entries;
  }

  #field(form: number): string | number {
    const cursor = this.#cursor;
    switch (form) {
      case FORM.string:
        return cursor.text();
      case FORM.lineStrp:
        return this.#stringAt('.debug_line_str');
      case FORM.strp:
        return this.#stringAt('.debug_str');
      case FORM.udata:
        return cursor.uleb();
      case FORM.data1:
        return cursor.u8();
      case FORM.data2:
        return cursor.u16();
      case FORM.data4:
        return cursor.u32();
      case FORM.data8:
        return this.#skip(8);
      case FORM.data16:
        return this.#skip(16);
      case FORM.block:
        return this.#skip(cursor.uleb());
      default:
        throw new RangeError('unknown form');
    }
  }

  #program(header: Header, end: number): void {
    const cursor = this.#cursor;
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
    while (cursor.at < end) {
      const opcode = cursor.u8();
      if (opcode >= header.opcodeBase) {
        const adjusted = opcode - header.opcodeBase;
        offset += Math.floor(adjusted / header.lineRange) * header.minimum;
        line += header.lineBase + (adjusted % header.lineRange);
        row(false);
      } else if (opcode === 0) {
        const length = cursor.uleb();
        const next = cursor.at + length;
        const extended = cursor.u8();
        if (extended === LNE.endSequence) {
          row(true);
          [section, offset, line, file] = [undefined, 0, 1, 1];
        } else if (extended === LNE.setAddress) {
          const relocation = this.#relocations.get(cursor.at);
          const home = relocation?.symbol?.section;
          section = typeof home === 'object' ? home : undefined;
          offset = (relocation?.symbol?.value ?? 0) + (relocation?.addend ?? 0);
        }
        cursor.at = next;
      } else if (opcode === LNS.copy) row(false);
      else if (opcode === LNS.advancePc) offset += cursor.uleb() * header.minimum;
      else if (opcode === LNS.advanceLine) line += cursor.sleb();
      else if (opcode === LNS.setFile) file = cursor.uleb();
      else if (opcode === LNS.constAddPc) {
        offset += Math.floor((255 - header.opcodeBase) / header.lineRange) * header.minimum;
      } else if (opcode === LNS.fixedAdvancePc) {
        if (this.#relocations.has(cursor.at)) section = undefined; // the linker decides (relaxation)
        offset += cursor.u16();
      } else for (let count = header.operands[opcode] ?? 0; count > 0; count--) cursor.uleb();
    }
  }

  #skip(length: number): number {
    const cursor = this.#cursor;
    cursor.at += length;
    if (cursor.at > this.#size) throw new RangeError('the section ends');
    return 0;
  }

  /** A string of another section. */
  #stringAt(name: string): string {
    const at = this.#cursor.offset(4);
    const section = this.#object.sections.find((one) => one.name === name);
    if (section === undefined) return '';
    const strings = new DwarfCursor(section.data, this.#object.littleEndian);
    strings.at = at;
    return strings.text();
  }
}

function join(folder: string, name: string): string {
  return folder === '' || name.startsWith('/') ? name : `${folder}/${name}`;
}

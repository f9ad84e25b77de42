/**
 * Types in DWARF debug information (versions 2 to 5), as far as their layout needs: structures and unions with their
 * members, and the sizes of what members are made of. Everything else is stepped over.
 */
import { SHT, SIZE } from './constants.ts';
import type { ElfFile, RawSection } from './file.ts';

/** Tags of the entries that are read (DWARF 5, table 7.3). */
export const TAG = {
  array: 0x01,
  enumeration: 0x04,
  member: 0x0d,
  pointer: 0x0f,
  compileUnit: 0x11,
  structure: 0x13,
  subroutine: 0x15,
  typedef: 0x16,
  union: 0x17,
  subrange: 0x21,
  base: 0x24,
  const: 0x26,
  subprogram: 0x2e,
  volatile: 0x35,
  restrict: 0x37,
  atomic: 0x47,
} as const;

const AT = {
  name: 0x03,
  byteSize: 0x0b,
  bitOffset: 0x0c,
  bitSize: 0x0d,
  upperBound: 0x2f,
  count: 0x37,
  memberLocation: 0x38,
  declaration: 0x3c,
  type: 0x49,
  dataBitOffset: 0x6b,
} as const;

export interface DwarfMember {
  /** Absent for unnamed structures and unions. */
  readonly name: string | undefined;
  /** From the start of the structure, in bits. */
  readonly bitOffset: number;
  /** Of a bit field; undefined for a whole member. */
  readonly bitSize: number | undefined;
  /** Key of its type in `DwarfTypes.types`. */
  readonly type: number | undefined;
}

export interface DwarfType {
  readonly tag: number;
  readonly name: string | undefined;
  /** Bytes, where the entry says so. */
  readonly size: number | undefined;
  /** Key of the type that it is made from. */
  readonly type: number | undefined;
  /** True where only the name is known here. */
  readonly declaration: boolean;
  readonly members: DwarfMember[];
  /** Of an array: the number of elements of each dimension, 0 where it is open. */
  readonly dimensions: number[];
}

export interface DwarfTypes {
  readonly types: ReadonlyMap<number, DwarfType>;
  /** Bytes of a pointer. */
  readonly addressSize: number;
}

const typeTags: ReadonlySet<number> = new Set([
  TAG.array,
  TAG.enumeration,
  TAG.pointer,
  TAG.structure,
  TAG.subroutine,
  TAG.typedef,
  TAG.union,
  TAG.base,
  TAG.const,
  TAG.volatile,
  TAG.restrict,
  TAG.atomic,
]);

/**
 * Reads the types of an object file. Undefined where there is no debug information, or none of a form that is known here:
 * it is a help, not the thing itself, so damage in it is no error.
 */
export function readDwarfTypes(file: ElfFile): DwarfTypes | undefined {
  if (file.section('.debug_info') === undefined || file.section('.debug_abbrev') === undefined) return undefined;
  try {
    return new Reader(file).read();
  } catch (error) {
    if (error instanceof RangeError) return undefined; // a read behind the end
    throw error;
  }
}

interface Abbreviation {
  readonly tag: number;
  readonly children: boolean;
  /** Attribute, form, and the constant of DW_FORM_implicit_const. */
  readonly attributes: readonly (readonly [attribute: number, form: number, constant: number])[];
}

interface Unit {
  readonly start: number;
  readonly version: number;
  readonly addressSize: number;
  readonly offsetSize: 4 | 8;
  readonly abbreviations: ReadonlyMap<number, Abbreviation>;
}

/** The attributes of one entry that matter. */
interface Values {
  name?: string | undefined;
  size?: number;
  bitSize?: number;
  bitOffset?: number;
  dataBitOffset?: number;
  location?: number;
  type?: number | undefined;
  bound?: number;
  count?: number;
  declaration?: boolean;
}

class Reader {
  readonly #file: ElfFile;
  readonly #info: DataView;
  readonly #le: boolean;
  readonly #relocations: Relocations;
  readonly #types = new Map<number, DwarfType>();
  readonly #tables = new Map<number, Map<number, Abbreviation>>();
  #at = 0;
  #addressSize = 8;

  constructor(file: ElfFile) {
    this.#file = file;
    this.#le = file.littleEndian;
    this.#info = viewOf(file.data(file.section('.debug_info')!));
    this.#relocations = new Relocations(file, '.debug_info');
  }

  read(): DwarfTypes | undefined {
    while (this.#at < this.#info.byteLength) if (!this.#unit()) return undefined;
    return { types: this.#types, addressSize: this.#addressSize };
  }

  #unit(): boolean {
    const start = this.#at;
    let length = this.#u32();
    const offsetSize = length === 0xffffffff ? 8 : 4;
    if (offsetSize === 8) length = this.#offset(8);
    const end = this.#at + length;
    const version = this.#u16();
    if (version < 2 || version > 5 || end > this.#info.byteLength) return false;
    const kind = version >= 5 ? this.#u8() : 1;
    const early = version >= 5 ? this.#u8() : 0;
    const table = this.#offset(offsetSize);
    const addressSize = version >= 5 ? early : this.#u8();
    if (kind === 2 || kind === 6) this.#at += 8 + offsetSize; // type units
    if (kind === 4 || kind === 5) this.#at += 8; // skeleton and split units
    this.#addressSize = addressSize;
    this.#entries({ start, version, addressSize, offsetSize, abbreviations: this.#abbreviations(table) }, end);
    this.#at = end;
    return true;
  }

  /** Walks the entries of a unit; `open` are those whose children are being read. */
  #entries(unit: Unit, end: number): void {
    const open: (DwarfType | undefined)[] = [];
    /** Depth below a subprogram, whose types are its own; 0 outside. */
    let inside = 0;
    while (this.#at < end) {
      const key = this.#at;
      const code = this.#uleb();
      if (code === 0) {
        open.pop();
        if (inside > open.length) inside = 0;
        continue;
      }
      const abbreviation = unit.abbreviations.get(code);
      if (abbreviation === undefined) throw new RangeError('an abbreviation is missing');
      const { tag } = abbreviation;
      const wanted = inside === 0 && (typeTags.has(tag) || tag === TAG.member || tag === TAG.subrange);
      const values = this.#values(unit, abbreviation, wanted);
      const parent = open.at(-1);
      let made: DwarfType | undefined;
      if (wanted && tag === TAG.member) parent?.members.push(memberOf(values, this.#le));
      else if (wanted && tag === TAG.subrange) parent?.dimensions.push(values.count ?? (values.bound ?? -1) + 1);
      else if (wanted) {
        made = {
          tag,
          name: values.name,
          size: values.size,
          type: values.type,
          declaration: values.declaration === true,
          members: [],
          dimensions: [],
        };
        this.#types.set(key, made);
      }
      if (!abbreviation.children) continue;
      open.push(made);
      if (tag === TAG.subprogram && inside === 0) inside = open.length;
    }
  }

  #values(unit: Unit, abbreviation: Abbreviation, wanted: boolean): Values {
    const values: Values = {};
    for (const [attribute, form, constant] of abbreviation.attributes) {
      if (!wanted) {
        this.#skip(unit, form);
        continue;
      }
      switch (attribute) {
        case AT.name:
          values.name = this.#string(unit, form);
          break;
        case AT.type:
          values.type = this.#reference(unit, form);
          break;
        case AT.declaration:
          values.declaration = true;
          this.#skip(unit, form);
          break;
        case AT.byteSize:
        case AT.bitSize:
        case AT.bitOffset:
        case AT.dataBitOffset:
        case AT.memberLocation:
        case AT.upperBound:
        case AT.count: {
          const value = this.#constant(unit, form, constant);
          if (value !== undefined) values[numberNames[attribute]!] = value;
          break;
        }
        default:
          this.#skip(unit, form);
      }
    }
    return values;
  }

  /** A constant; undefined (and stepped over) where it is an expression. */
  #constant(unit: Unit, form: number, implicit: number): number | undefined {
    switch (form) {
      case 0x0b:
        return this.#u8();
      case 0x05:
        return this.#u16();
      case 0x06:
        return this.#u32();
      case 0x07:
        return this.#offset(8);
      case 0x0d:
        return this.#sleb();
      case 0x0f:
        return this.#uleb();
      case 0x21:
        return implicit;
      case 0x09:
      case 0x0a:
      case 0x18: {
        // Old compilers write a member's place as DW_OP_plus_uconst.
        const length = form === 0x0a ? this.#u8() : this.#uleb();
        const end = this.#at + length;
        const value = this.#u8() === 0x23 ? this.#uleb() : undefined;
        this.#at = end;
        return value;
      }
      default:
        this.#skip(unit, form);
        return undefined;
    }
  }

  #reference(unit: Unit, form: number): number | undefined {
    switch (form) {
      case 0x11:
        return unit.start + this.#u8();
      case 0x12:
        return unit.start + this.#u16();
      case 0x13:
        return unit.start + this.#u32();
      case 0x14:
        return unit.start + this.#offset(8);
      case 0x15:
        return unit.start + this.#uleb();
      case 0x10:
        return this.#offset(unit.version === 2 ? unit.addressSize : unit.offsetSize);
      default:
        this.#skip(unit, form);
        return undefined;
    }
  }

  #string(unit: Unit, form: number): string | undefined {
    if (form === 0x08) {
      const start = this.#at;
      while (this.#u8() !== 0);
      return textAt(this.#info, start);
    }
    if (form === 0x0e || form === 0x1f) {
      const at = this.#offset(unit.offsetSize);
      return this.#textOf(form === 0x0e ? '.debug_str' : '.debug_line_str', at);
    }
    const index = this.#stringIndex(form);
    if (index !== undefined) return this.#indexedString(unit, index);
    this.#skip(unit, form);
    return undefined;
  }

  #stringIndex(form: number): number | undefined {
    if (form === 0x1a) return this.#uleb();
    if (form === 0x25) return this.#u8();
    if (form === 0x26) return this.#u16();
    if (form === 0x27) return this.#u8() + this.#u16() * 256;
    if (form === 0x28) return this.#u32();
    return undefined;
  }

  /** clang's index into `.debug_str_offsets`, whose header has 8 bytes (16 in 64-bit DWARF). */
  #indexedString({ offsetSize }: Unit, index: number): string | undefined {
    const section = this.#file.section('.debug_str_offsets');
    if (section === undefined) return undefined;
    const at = (offsetSize === 8 ? 16 : 8) + index * offsetSize;
    const relocated = new Relocations(this.#file, '.debug_str_offsets').at(at);
    const view = viewOf(this.#file.data(section));
    return this.#textOf('.debug_str', relocated ?? view.getUint32(at, this.#le));
  }

  #textOf(name: string, at: number): string | undefined {
    const section = this.#file.section(name);
    return section === undefined ? undefined : textAt(viewOf(this.#file.data(section)), at);
  }

  #skip(unit: Unit, form: number): void {
    const fixed = sizes[form];
    if (fixed !== undefined) this.#at += fixed;
    else if (form === 0x01) this.#at += unit.addressSize;
    else if (offsetForms.has(form)) this.#at += unit.offsetSize;
    else if (form === 0x10) this.#at += unit.version === 2 ? unit.addressSize : unit.offsetSize;
    else if (lebForms.has(form)) this.#uleb();
    else if (form === 0x08) while (this.#u8() !== 0);
    else if (form === 0x03) this.#step(this.#u16());
    else if (form === 0x04) this.#step(this.#u32());
    else if (form === 0x0a) this.#step(this.#u8());
    else if (form === 0x09 || form === 0x18) this.#step(this.#uleb());
    else if (form === 0x16) this.#skip(unit, this.#uleb());
    else throw new RangeError(`form ${form} is not known`);
    if (this.#at > this.#info.byteLength) throw new RangeError('behind the end');
  }

  /** Moves on; a length must be read before this is called, since reading moves too. */
  #step(bytes: number): void {
    this.#at += bytes;
  }

  #abbreviations(at: number): Map<number, Abbreviation> {
    const known = this.#tables.get(at);
    if (known !== undefined) return known;
    const view = viewOf(this.#file.data(this.#file.section('.debug_abbrev')!));
    const cursor = { at };
    const table = new Map<number, Abbreviation>();
    for (let code = uleb(view, cursor); code !== 0; code = uleb(view, cursor)) {
      const tag = uleb(view, cursor);
      const children = view.getUint8(cursor.at++) !== 0;
      const attributes: [number, number, number][] = [];
      for (;;) {
        const attribute = uleb(view, cursor);
        const form = uleb(view, cursor);
        if (attribute === 0 && form === 0) break;
        attributes.push([attribute, form, form === 0x21 ? sleb(view, cursor) : 0]);
      }
      table.set(code, { tag, children, attributes });
    }
    this.#tables.set(at, table);
    return table;
  }

  #u8(): number {
    return this.#info.getUint8(this.#at++);
  }

  #u16(): number {
    this.#at += 2;
    return this.#info.getUint16(this.#at - 2, this.#le);
  }

  #u32(): number {
    this.#at += 4;
    return this.#info.getUint32(this.#at - 4, this.#le);
  }

  /** An offset of 4 or 8 bytes, relocated where a relocation says so. */
  #offset(size: number): number {
    const at = this.#at;
    this.#at += size;
    const relocated = this.#relocations.at(at);
    if (relocated !== undefined) return relocated;
    return size === 8 ? Number(this.#info.getBigUint64(at, this.#le)) : this.#info.getUint32(at, this.#le);
  }

  #uleb(): number {
    const cursor = { at: this.#at };
    const value = uleb(this.#info, cursor);
    this.#at = cursor.at;
    return value;
  }

  #sleb(): number {
    const cursor = { at: this.#at };
    const value = sleb(this.#info, cursor);
    this.#at = cursor.at;
    return value;
  }
}

const numberNames: Readonly<
  Record<number, 'size' | 'bitSize' | 'bitOffset' | 'dataBitOffset' | 'location' | 'bound' | 'count'>
> = {
  [AT.byteSize]: 'size',
  [AT.bitSize]: 'bitSize',
  [AT.bitOffset]: 'bitOffset',
  [AT.dataBitOffset]: 'dataBitOffset',
  [AT.memberLocation]: 'location',
  [AT.upperBound]: 'bound',
  [AT.count]: 'count',
};

/** Bytes of the forms of fixed size (DWARF 5, section 7.5.6). */
const sizes: Readonly<Record<number, number>> = {
  5: 2,
  6: 4,
  7: 8,
  11: 1,
  12: 1,
  17: 1,
  18: 2,
  19: 4,
  20: 8,
  25: 0,
  28: 4,
  30: 16,
  32: 8,
  33: 0,
  36: 8,
  37: 1,
  38: 2,
  39: 3,
  40: 4,
  41: 1,
  42: 2,
  43: 3,
  44: 4,
};
const offsetForms: ReadonlySet<number> = new Set([0x0e, 0x17, 0x1d, 0x1f, 0x1f20, 0x1f21]);
const lebForms: ReadonlySet<number> = new Set([0x0d, 0x0f, 0x15, 0x1a, 0x1b, 0x22, 0x23]);

function memberOf(values: Values, littleEndian: boolean): DwarfMember {
  const { name, type, bitSize, location = 0, dataBitOffset, bitOffset, size } = values;
  let start = dataBitOffset ?? location * 8;
  if (dataBitOffset === undefined && bitOffset !== undefined && bitSize !== undefined) {
    // Before DWARF 4: counted from the most significant bit of a storage unit of `size` bytes.
    start += littleEndian ? (size ?? 4) * 8 - bitOffset - bitSize : bitOffset;
  }
  return { name, type, bitSize, bitOffset: start };
}

/** What relocations put into the fields of a debug section; fields are asked for in ascending order mostly. */
class Relocations {
  readonly #view: DataView | undefined;
  readonly #le: boolean;
  readonly #count: number;
  #next = 0;

  constructor(file: ElfFile, name: string) {
    const section = relocationsOf(file, name);
    this.#le = file.littleEndian;
    this.#view = section === undefined ? undefined : viewOf(file.data(section));
    this.#count = section === undefined ? 0 : Math.floor(section.size / SIZE.RELA);
  }

  /** The addend for the field at `offset` (section symbols are 0 in object files); undefined without a relocation. */
  at(offset: number): number | undefined {
    const view = this.#view;
    if (view === undefined) return undefined;
    const place = (index: number): number => Number(view.getBigUint64(index * SIZE.RELA, this.#le));
    if (this.#next > 0 && place(this.#next - 1) >= offset) this.#next = 0;
    while (this.#next < this.#count && place(this.#next) < offset) this.#next++;
    if (this.#next >= this.#count || place(this.#next) !== offset) return undefined;
    return Number(view.getBigInt64(this.#next * SIZE.RELA + 16, this.#le));
  }
}

function relocationsOf(file: ElfFile, name: string): RawSection | undefined {
  const index = file.section(name)?.index;
  return file.sections.find(({ type, info }) => type === SHT.RELA && info === index);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function textAt(view: DataView, at: number): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const end = bytes.indexOf(0, at);
  return Buffer.from(bytes.subarray(at, end < 0 ? bytes.length : end)).toString('utf8');
}

function uleb(view: DataView, cursor: { at: number }): number {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = view.getUint8(cursor.at++);
    value += (byte & 0x7f) * scale;
    if ((byte & 0x80) === 0) return value;
  }
}

function sleb(view: DataView, cursor: { at: number }): number {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = view.getUint8(cursor.at++);
    value += (byte & 0x7f) * scale;
    if ((byte & 0x80) === 0) return (byte & 0x40) === 0 ? value : value - scale * 128;
  }
}

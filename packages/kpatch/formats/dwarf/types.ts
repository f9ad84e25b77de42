/**
 * Types in DWARF debug information (versions 2 to 5), as far as their layout needs: structures and unions with their
 * members, and the sizes of what members are made of. Everything else is stepped over.
 */
import type { ElfFile } from '../elf/file.ts';
import { DwarfCursor, dwarfText } from './cursor.ts';
import { type DwarfFunction, type DwarfMember, type DwarfType, type DwarfTypes, TAG } from './type-record.ts';

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
 * it is a help, not the thing itself, so damage in it is not an error.
 */
export function readDwarfTypes(file: ElfFile): DwarfTypes | undefined {
  if (file.section('.debug_info') === undefined || file.section('.debug_abbrev') === undefined) return undefined;
  try {
    return new Reader(file).read();
  } catch (error) {
    if (error instanceof RangeError) return undefined; // a read after the end
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
  readonly #info: DwarfCursor;
  readonly #types = new Map<number, DwarfType>();
  readonly #functions: DwarfFunction[] = [];
  readonly #tables = new Map<number, Map<number, Abbreviation>>();
  #addressSize = 8;

  constructor(file: ElfFile) {
    this.#file = file;
    this.#info = DwarfCursor.of(file, '.debug_info', true);
  }

  read(): DwarfTypes | undefined {
    while (this.#info.at < this.#info.view.byteLength) if (!this.#unit()) return undefined;
    return { types: this.#types, functions: this.#functions, addressSize: this.#addressSize };
  }

  #unit(): boolean {
    const start = this.#info.at;
    let length = this.#info.u32();
    const offsetSize = length === 0xffffffff ? 8 : 4;
    if (offsetSize === 8) length = this.#info.offset(8);
    const end = this.#info.at + length;
    const version = this.#info.u16();
    if (version < 2 || version > 5 || end > this.#info.view.byteLength) return false;
    const kind = version >= 5 ? this.#info.u8() : 1;
    const early = version >= 5 ? this.#info.u8() : 0;
    const table = this.#info.offset(offsetSize);
    const addressSize = version >= 5 ? early : this.#info.u8();
    if (kind === 2 || kind === 6) this.#info.at += 8 + offsetSize; // type units
    if (kind === 4 || kind === 5) this.#info.at += 8; // skeleton and split units
    this.#addressSize = addressSize;
    this.#entries({ start, version, addressSize, offsetSize, abbreviations: this.#abbreviations(table) }, end);
    this.#info.at = end;
    return true;
  }

  /** Walks the entries of a unit; `open` are those whose children are being read. */
  #entries(unit: Unit, end: number): void {
    const open: (DwarfType | undefined)[] = [];
    /** Depth below a subprogram, whose types are its own; 0 outside. */
    let inside = 0;
    let current: DwarfFunction | undefined;
    while (this.#info.at < end) {
      const key = this.#info.at;
      const code = this.#info.uleb();
      if (code === 0) {
        open.pop();
        if (inside > open.length) inside = 0;
        continue;
      }
      const abbreviation = unit.abbreviations.get(code);
      if (abbreviation === undefined) throw new RangeError('an abbreviation is missing');
      const { tag } = abbreviation;
      const wanted = inside === 0 && (typeTags.has(tag) || tag === TAG.member || tag === TAG.subrange);
      const isFunction = inside === 0 && tag === TAG.subprogram;
      const isParameter = inside > 0 && inside === open.length && tag === TAG.parameter;
      const values = this.#values(unit, abbreviation, wanted || isFunction || isParameter);
      if (isParameter) current?.parameters.push({ name: values.name, type: values.type });
      const parent = open.at(-1);
      let made: DwarfType | undefined;
      if (wanted && tag === TAG.member) parent?.members.push(memberOf(values, this.#file.littleEndian));
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
      if (isFunction) {
        const { name, type, declaration } = values;
        current = name === undefined || declaration === true ? undefined : { name, type, parameters: [] };
        if (current !== undefined) this.#functions.push(current);
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
        this.#info.skip(form, unit);
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
          this.#info.skip(form, unit);
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
          this.#info.skip(form, unit);
      }
    }
    return values;
  }

  /** A constant; undefined (and stepped over) where it is an expression. */
  #constant(unit: Unit, form: number, implicit: number): number | undefined {
    switch (form) {
      case 0x0b:
        return this.#info.u8();
      case 0x05:
        return this.#info.u16();
      case 0x06:
        return this.#info.u32();
      case 0x07:
        return this.#info.offset(8);
      case 0x0d:
        return this.#info.sleb();
      case 0x0f:
        return this.#info.uleb();
      case 0x21:
        return implicit;
      case 0x09:
      case 0x0a:
      case 0x18: {
        // Old compilers write a member's place as DW_OP_plus_uconst.
        const length = form === 0x0a ? this.#info.u8() : this.#info.uleb();
        const end = this.#info.at + length;
        const value = this.#info.u8() === 0x23 ? this.#info.uleb() : undefined;
        this.#info.at = end;
        return value;
      }
      default:
        this.#info.skip(form, unit);
        return undefined;
    }
  }

  #reference(unit: Unit, form: number): number | undefined {
    switch (form) {
      case 0x11:
        return unit.start + this.#info.u8();
      case 0x12:
        return unit.start + this.#info.u16();
      case 0x13:
        return unit.start + this.#info.u32();
      case 0x14:
        return unit.start + this.#info.offset(8);
      case 0x15:
        return unit.start + this.#info.uleb();
      case 0x10:
        return this.#info.offset(unit.version === 2 ? unit.addressSize : unit.offsetSize);
      default:
        this.#info.skip(form, unit);
        return undefined;
    }
  }

  #string(unit: Unit, form: number): string | undefined {
    if (form === 0x08) return this.#info.text();
    if (form === 0x0e || form === 0x1f) {
      const at = this.#info.offset(unit.offsetSize);
      return dwarfText(this.#file, form === 0x0e ? '.debug_str' : '.debug_line_str', at);
    }
    const index = this.#stringIndex(form);
    if (index !== undefined) return this.#indexedString(unit, index);
    this.#info.skip(form, unit);
    return undefined;
  }

  #stringIndex(form: number): number | undefined {
    if (form === 0x1a) return this.#info.uleb();
    if (form === 0x25) return this.#info.u8();
    if (form === 0x26) return this.#info.u16();
    if (form === 0x27) return this.#info.u8() + this.#info.u16() * 256;
    if (form === 0x28) return this.#info.u32();
    return undefined;
  }

  /** clang's index into `.debug_str_offsets`, whose header has 8 bytes (16 in 64-bit DWARF). */
  #indexedString({ offsetSize }: Unit, index: number): string | undefined {
    if (this.#file.section('.debug_str_offsets') === undefined) return undefined;
    const offsets = DwarfCursor.of(this.#file, '.debug_str_offsets', true);
    offsets.at = (offsetSize === 8 ? 16 : 8) + index * offsetSize;
    return dwarfText(this.#file, '.debug_str', offsets.offset(offsetSize));
  }

  #abbreviations(at: number): Map<number, Abbreviation> {
    const known = this.#tables.get(at);
    if (known !== undefined) return known;
    const cursor = DwarfCursor.of(this.#file, '.debug_abbrev', false);
    cursor.at = at;
    const table = new Map<number, Abbreviation>();
    for (let code = cursor.uleb(); code !== 0; code = cursor.uleb()) {
      const tag = cursor.uleb();
      const children = cursor.u8() !== 0;
      const attributes: [number, number, number][] = [];
      for (;;) {
        const attribute = cursor.uleb();
        const form = cursor.uleb();
        if (attribute === 0 && form === 0) break;
        attributes.push([attribute, form, form === 0x21 ? cursor.sleb() : 0]);
      }
      table.set(code, { tag, children, attributes });
    }
    this.#tables.set(at, table);
    return table;
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

function memberOf(values: Values, littleEndian: boolean): DwarfMember {
  const { name, type, bitSize, location = 0, dataBitOffset, bitOffset, size } = values;
  let start = dataBitOffset ?? location * 8;
  if (dataBitOffset === undefined && bitOffset !== undefined && bitSize !== undefined) {
    // Before DWARF 4: counted from the most significant bit of a storage unit of `size` bytes.
    start += littleEndian ? (size ?? 4) * 8 - bitOffset - bitSize : bitOffset;
  }
  return { name, type, bitSize, bitOffset: start };
}

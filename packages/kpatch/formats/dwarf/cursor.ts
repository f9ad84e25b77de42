/**
 * Reading DWARF section by section: numbers of all its forms, with the values that relocations put into them (DWARF 5,
 * section 7.5). A read after the end is a RangeError, which the readers of this folder turn into "nothing is known".
 */
import { SHT, SIZE } from '../elf/constants.ts';
import type { ElfFile, RawSection } from '../elf/file.ts';

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

/** Numbers of variable length have at most 64 bits; a damaged file may claim more. */
const LONGEST = 2 ** 64;

/** What relocations put into the fields of a section. */
export interface FieldValues {
  /** The value of the field at `offset`; undefined without a relocation. */
  at(offset: number): number | undefined;
}

/** What the size of a form depends on. */
export interface FormSizes {
  readonly version: number;
  readonly addressSize: number;
  /** 4 or 8: 32-bit or 64-bit DWARF. */
  readonly offsetSize: number;
}

/** A place in a debug section that moves on as fields are read. */
export class DwarfCursor {
  readonly view: DataView;
  readonly #le: boolean;
  readonly #relocations: FieldValues | undefined;
  at = 0;

  /** Over the bytes of a section; `relocations` where its fields have any. */
  constructor(bytes: Uint8Array, littleEndian: boolean, relocations?: FieldValues) {
    this.view = viewOf(bytes);
    this.#le = littleEndian;
    this.#relocations = relocations;
  }

  /** Over a section of a file, empty if there is none of that name; `relocated` where its fields have relocations. */
  static of(file: ElfFile, section: string, relocated: boolean): DwarfCursor {
    const raw = file.section(section);
    const bytes = raw === undefined ? new Uint8Array(0) : file.data(raw);
    return new DwarfCursor(bytes, file.littleEndian, relocated ? new Relocations(file, section) : undefined);
  }

  u8(): number {
    return this.view.getUint8(this.at++);
  }

  i8(): number {
    return this.view.getInt8(this.at++);
  }

  u16(): number {
    this.at += 2;
    return this.view.getUint16(this.at - 2, this.#le);
  }

  u32(): number {
    this.at += 4;
    return this.view.getUint32(this.at - 4, this.#le);
  }

  /** An offset of 4 or 8 bytes, relocated where a relocation says so. */
  offset(size: number): number {
    const at = this.at;
    this.at += size;
    const relocated = this.#relocations?.at(at);
    if (relocated !== undefined) return relocated;
    return size === 8 ? Number(this.view.getBigUint64(at, this.#le)) : this.view.getUint32(at, this.#le);
  }

  uleb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      if (scale < LONGEST) value += (byte & 0x7f) * scale;
      if ((byte & 0x80) === 0) return value;
    }
  }

  sleb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      if (scale < LONGEST) value += (byte & 0x7f) * scale;
      if ((byte & 0x80) === 0) return (byte & 0x40) === 0 ? value : value - scale * 128;
    }
  }

  /** The text from here to its NUL. */
  text(): string {
    const start = this.at;
    const bytes = new Uint8Array(this.view.buffer, this.view.byteOffset, this.view.byteLength);
    const end = bytes.indexOf(0, start);
    if (end < 0) throw new RangeError('a text without end');
    this.at = end + 1;
    return Buffer.from(bytes.subarray(start, end)).toString('utf8');
  }

  /** Steps over a field of this form. */
  skip(form: number, unit: FormSizes): void {
    const length = this.#length(form, unit);
    this.at += length;
    if (this.at > this.view.byteLength) throw new RangeError('behind the end');
  }

  /** Bytes from here to the end of a field; fields that say their own length are read up to it. */
  #length(form: number, unit: FormSizes): number {
    const fixed = sizes[form];
    if (fixed !== undefined) return fixed;
    if (offsetForms.has(form)) return unit.offsetSize;
    switch (form) {
      case 0x01:
        return unit.addressSize;
      case 0x10:
        return unit.version === 2 ? unit.addressSize : unit.offsetSize;
      case 0x03:
        return this.u16();
      case 0x04:
        return this.u32();
      case 0x0a:
        return this.u8();
      case 0x09:
      case 0x18:
        return this.uleb();
      case 0x16:
        return this.#length(this.uleb(), unit);
      case 0x08:
        this.text();
        return 0;
      default:
        if (!lebForms.has(form)) throw new RangeError(`form ${form} is not known`);
        this.uleb();
        return 0;
    }
  }
}

/** The text at an offset of a section of texts; undefined if there is none. */
export function dwarfText(file: ElfFile, section: string, at: number): string | undefined {
  if (file.section(section) === undefined) return undefined;
  const cursor = DwarfCursor.of(file, section, false);
  cursor.at = at;
  return cursor.text();
}

/** What relocations put into the fields of a debug section; fields are asked for in ascending order mostly. */
class Relocations implements FieldValues {
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

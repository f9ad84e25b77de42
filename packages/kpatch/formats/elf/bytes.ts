/** Bytes of a file as numbers and strings: bounds are checked once for a range, then its records are read. */
import { failure, type KpatchError } from '../../base/errors/error.ts';

/** Names longer than this do not occur (the kernel's limit is 512), and would let a file make us use much memory. */
const LONGEST_NAME = 4096;

/** A file's bytes with its name for messages and its byte order. */
export interface Source {
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly littleEndian: boolean;
}

/** The error `elf-malformed` at a place in the file. `offset` is bytes from the start of the section, or of the file. */
export function malformed(file: string, problem: string, section?: string, offset?: number): KpatchError {
  return failure(
    'elf-malformed',
    { file, problem },
    { where: { file, ...(section === undefined ? {} : { section }), ...(offset === undefined ? {} : { offset }) } },
  );
}

/** Checks that `offset` and `size` (bytes, from a file, so any number) lie inside the file. Error: `elf-truncated`. */
export function checkRange(source: Source, offset: number, size: number, what: string, section?: string): void {
  // Written so that values beyond 2^53 fail as well.
  if (offset >= 0 && size >= 0 && offset <= source.bytes.length && size <= source.bytes.length - offset) return;
  const where = { file: source.file, offset: Math.min(offset, Number.MAX_SAFE_INTEGER) };
  throw failure(
    'elf-truncated',
    { what, file: source.file },
    { where: section === undefined ? where : { ...where, section } },
  );
}

/** An unsigned 64-bit field as a number; beyond 2^53 it is rounded, which every caller's bounds check then refuses. */
export function readU64(view: DataView, offset: number, littleEndian: boolean): number {
  const first = view.getUint32(offset, littleEndian);
  const second = view.getUint32(offset + 4, littleEndian);
  return littleEndian ? second * 0x100000000 + first : first * 0x100000000 + second;
}

/** A signed 64-bit field as a number; beyond 2^53 it is rounded (see `Number.isSafeInteger`). */
export function readI64(view: DataView, offset: number, littleEndian: boolean): number {
  if (littleEndian) return view.getInt32(offset + 4, true) * 0x100000000 + view.getUint32(offset, true);
  return view.getInt32(offset, false) * 0x100000000 + view.getUint32(offset + 4, false);
}

/** Writes a whole number as a 64-bit field, two's complement. */
export function writeI64(view: DataView, offset: number, value: number, littleEndian: boolean): void {
  const high = Math.floor(value / 0x100000000);
  const low = value - high * 0x100000000;
  view.setUint32(offset + (littleEndian ? 0 : 4), low, littleEndian);
  view.setInt32(offset + (littleEndian ? 4 : 0), high | 0, littleEndian);
}

/**
 * A string table. Names are taken byte by byte (latin1), so that what is read is written again unchanged.
 * The whole of the names handed out is limited to a multiple of the file, as many symbols may name one long string.
 */
export class StringTable {
  readonly #file: string;
  readonly #section: string;
  readonly #text: string;
  readonly #names = new Map<number, string>();
  #budget: number;

  constructor(file: string, section: string, bytes: Uint8Array, fileSize: number) {
    this.#file = file;
    this.#section = section;
    // Names are slices of one string, which is faster than to read each from the bytes.
    this.#text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
    this.#budget = 4 * fileSize + LONGEST_NAME;
  }

  /** The string at an offset in the table, without its NUL. Error: `elf-malformed`. */
  at(offset: number): string {
    const known = this.#names.get(offset);
    if (known !== undefined) return known;
    if (offset >= this.#text.length) {
      if (offset === 0) return '';
      throw malformed(this.#file, `a name is outside the string table (${offset})`, this.#section, offset);
    }
    const end = this.#text.indexOf('\0', offset);
    if (end < 0) throw malformed(this.#file, 'a name is not terminated', this.#section, offset);
    const length = end - offset;
    this.#budget -= length;
    if (length > LONGEST_NAME || this.#budget < 0) {
      throw malformed(this.#file, `the names are too long`, this.#section, offset);
    }
    const name = this.#text.slice(offset, end);
    this.#names.set(offset, name);
    return name;
  }
}

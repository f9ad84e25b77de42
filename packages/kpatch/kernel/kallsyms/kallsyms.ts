/** The kernel's own table of symbols, decoded: what livepatch looks names up in (kernel/livepatch/core.c, klp_find_object_symbol). */
import { failure } from '../../base/errors/error.ts';
import type { KernelImage } from '../image.ts';
import { addressAt, findTables, recordAt } from './kallsyms-tables.ts';

export interface KernelSymbol {
  readonly name: string;
  /** Link address, without KASLR. */
  readonly address: bigint;
  /** As nm prints it: `T` global text, `t` static text, `d` data, `r` read-only data, `b` bss, `a`/`A` absolute (per-CPU too). */
  readonly type: string;
  /** Position in the table. */
  readonly index: number;
  /**
   * What livepatch calls sympos: 0 for a name that occurs once, else its 1-based occurrence. Occurrences count in the order of the
   * table, which is sorted by address: up to Linux 6.1 the table itself is walked; later the names are sorted, and equal names stay in
   * the order of their addresses (scripts/kallsyms.c, compare_names).
   */
  readonly sympos: number;
}

export class Kallsyms {
  readonly #names: readonly string[];
  readonly #types: string;
  readonly #addresses: BigUint64Array;
  #byName: Map<string, number | number[]> | undefined;

  /** Names, types and addresses in the order of the table, which is ascending by address. */
  constructor(names: readonly string[], types: string, addresses: BigUint64Array) {
    this.#names = names;
    this.#types = types;
    this.#addresses = addresses;
  }

  get size(): number {
    return this.#names.length;
  }

  /** The symbol at a position of the table; undefined outside of it. */
  at(index: number): KernelSymbol | undefined {
    const name = this.#names[index];
    if (name === undefined) return undefined;
    const places = this.#places(name);
    const sympos = places.length === 1 ? 0 : places.indexOf(index) + 1;
    return { name, address: this.#addresses[index]!, type: this.#types[index]!, index, sympos };
  }

  /** All symbols of this name in the order in which livepatch counts them; none is an empty list. */
  lookup(name: string): KernelSymbol[] {
    return this.#places(name).map((index) => this.at(index)!);
  }

  /** All symbols at exactly this address. */
  symbolsAt(address: bigint): KernelSymbol[] {
    const found: KernelSymbol[] = [];
    for (let i = this.#firstAtOrAfter(address); this.#addresses[i] === address; i++) found.push(this.at(i)!);
    return found;
  }

  /** The symbol that covers an address: the last one at or before it; undefined below the first. */
  symbolOf(address: bigint): KernelSymbol | undefined {
    return this.at(this.#firstAtOrAfter(address + 1n) - 1);
  }

  /** The lowest symbol address above `address`, so the end of a function with its padding; undefined above the last. */
  nextAddress(address: bigint): bigint | undefined {
    return this.#addresses[this.#firstAtOrAfter(address + 1n)];
  }

  *[Symbol.iterator](): IterableIterator<KernelSymbol> {
    for (let i = 0; i < this.size; i++) yield this.at(i)!;
  }

  /** The table as plain arrays, for keeping it in a file. */
  raw(): { names: readonly string[]; types: string; addresses: BigUint64Array } {
    return { names: this.#names, types: this.#types, addresses: this.#addresses };
  }

  #places(name: string): readonly number[] {
    const places = this.#index().get(name);
    return places === undefined ? [] : typeof places === 'number' ? [places] : places;
  }

  #index(): Map<string, number | number[]> {
    if (this.#byName !== undefined) return this.#byName;
    const index = new Map<string, number | number[]>();
    this.#names.forEach((name, i) => {
      const before = index.get(name);
      if (before === undefined) index.set(name, i);
      else if (typeof before === 'number') index.set(name, [before, i]);
      else before.push(i);
    });
    this.#byName = index;
    return index;
  }

  #firstAtOrAfter(address: bigint): number {
    let low = 0;
    let high = this.#addresses.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#addresses[middle]! < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Finds and decodes the table in a kernel image. Errors: `kernel-kallsyms`, `elf-unsupported`. */
export function readKallsyms(image: KernelImage): Kallsyms {
  const { bytes, file, order } = image;
  const tables = findTables(bytes, image.platform, (offset) => image.addressOf(offset));
  if (typeof tables === 'string') throw failure('kernel-kallsyms', { file, reason: tables }, { where: { file } });
  const names: string[] = [];
  let types = '';
  const addresses = new BigUint64Array(tables.count);
  let at = tables.names;
  for (let i = 0; i < tables.count; i++) {
    const [length, data] = recordAt(bytes, at);
    let text = '';
    for (let code = data; code < data + length; code++) text += tables.tokens[bytes[code]!];
    names.push(text.slice(1));
    types += text[0] ?? '?';
    addresses[i] = addressAt(bytes, order, tables.addresses, i);
    at = data + length;
  }
  return new Kallsyms(names, types, addresses);
}

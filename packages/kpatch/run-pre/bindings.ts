/**
 * Where the sections and outside symbols of an object came to be in the target. Each relocation of each matched function
 * says it once more; they must all say the same, and what kallsyms knows by name must agree.
 */
import { SHF, STB, STT } from '../formats/elf/constants.ts';
import { definedIn, type ElfObject, type ElfSymbol, type Relocation, type Section } from '../formats/elf/object.ts';
import type { FieldTarget, RunningCode } from '../kernel/running-code.ts';

/**
 * Symbols of an object by the section that defines them, for the names that kallsyms may know. A weak one may be another
 * file's.
 */
function namedBySection(object: ElfObject): Map<Section, ElfSymbol[]> {
  const named = new Map<Section, ElfSymbol[]>();
  for (const symbol of object.symbols) {
    const section = definedIn(symbol);
    if (section === undefined || symbol.name === '' || symbol.type === STT.SECTION || symbol.type === STT.FILE)
      continue;
    if (symbol.bind === STB.WEAK) continue;
    const list = named.get(section);
    if (list === undefined) named.set(section, [symbol]);
    else list.push(symbol);
  }
  return named;
}

export class Bindings {
  readonly #code: RunningCode;
  readonly #named: Map<Section, ElfSymbol[]>;
  readonly #sections = new Map<Section, bigint>();
  readonly #externals = new Map<string, bigint>();

  constructor(object: ElfObject, code: RunningCode, from?: Bindings) {
    this.#code = code;
    this.#named = from === undefined ? namedBySection(object) : from.#named;
    if (from !== undefined) {
      this.#sections = new Map(from.#sections);
      this.#externals = new Map(from.#externals);
    }
  }

  /** A copy in which a candidate can be tried without consequence. */
  fork(object: ElfObject): Bindings {
    return new Bindings(object, this.#code, this);
  }

  /** The address of a section's first byte as far as it is known. */
  base(section: Section): bigint | undefined {
    return this.#sections.get(section);
  }

  /** Where a symbol that the object does not define is, as far as it is known. */
  external(name: string): bigint | undefined {
    return this.#externals.get(name);
  }

  /** Notes that a section begins at `base`; false if that contradicts what is known. */
  bindSection(section: Section, base: bigint): boolean {
    const known = this.#sections.get(section);
    if (known !== undefined) return same(known, base);
    const exact = this.#allowed(section, base);
    if (exact === undefined) return false;
    this.#sections.set(section, exact);
    return true;
  }

  /** True if the relocation, placed on a field that points to `target` (addend included), can be the one that made it. */
  accepts(relocation: Relocation, target: FieldTarget, bias: number): boolean {
    const { symbol } = relocation;
    const addend = BigInt(relocation.addend);
    if (symbol === undefined) return target.kind === 'address' && same(target.address, addend);
    const section = definedIn(symbol);
    // a weak symbol may be overridden by another file: then references go there too
    if (section === undefined || symbol.bind === STB.WEAK) return this.#acceptsExternal(symbol.name, target, addend);
    if (target.kind === 'external') return target.name === symbol.name && target.addend === addend;
    if ((section.flags & SHF.MERGE) === 0) {
      return this.bindSection(section, target.address - addend - BigInt(symbol.value));
    }
    // Linkers take the addend of a section's symbol for the constant's place, that of any other symbol for a distance from
    // it.
    if (symbol.type !== STT.SECTION) return this.#sameConstant(section, symbol.value, target.address - addend);
    return this.#sameConstant(section, symbol.value + relocation.addend + bias, target.address + BigInt(bias));
  }

  #acceptsExternal(name: string, target: FieldTarget, addend: bigint): boolean {
    if (target.kind === 'external') return target.name === name && target.addend === addend;
    const address = target.address - addend;
    const known = this.#externals.get(name);
    if (known !== undefined) return same(known, address);
    const places = this.#code.symbols(name);
    const place = places.find((symbol) => same(symbol.address, address));
    if (places.length > 0 && place === undefined) return false;
    this.#externals.set(name, place?.address ?? address);
    return true;
  }

  /** The base itself, made exact by a name that kallsyms has; undefined if the names say that it cannot be. */
  #allowed(section: Section, base: bigint): bigint | undefined {
    let exact = base;
    for (const symbol of this.#named.get(section) ?? []) {
      const places = this.#code.symbols(symbol.name);
      if (places.length === 0) continue;
      const place = places.find(({ address }) => same(address - BigInt(symbol.value), base));
      if (place === undefined) return undefined;
      exact = place.address - BigInt(symbol.value);
    }
    return exact;
  }

  /** Linkers merge equal constants and strings, so only their content can be compared. */
  #sameConstant(section: Section, offset: number, address: bigint): boolean {
    if (offset < 0 || offset >= section.data.length) return true;
    const strings = (section.flags & SHF.STRINGS) !== 0;
    const end = strings ? section.data.indexOf(0, offset) + 1 : offset + Math.max(1, section.entsize);
    const ours = section.data.subarray(offset, end <= offset ? section.data.length : end);
    const theirs = this.#code.read(BigInt.asUintN(64, address), ours.length);
    return theirs !== undefined && Buffer.compare(ours, theirs) === 0;
  }
}

/** Fields of 32 bits hold addresses cut to 32 bits (per-CPU variables are linked at 0, code at the top). */
function same(one: bigint, other: bigint): boolean {
  return BigInt.asUintN(32, one - other) === 0n;
}

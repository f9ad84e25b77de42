/**
 * Splits an object into parts: functions, data objects, unnamed pieces. Parts are paired, compared and extracted. With
 * -ffunction-sections most parts are whole sections; if several functions share a section, each is a part.
 */

import { lineTableOf, type SourceLine } from '../../formats/dwarf/line-table.ts';
import { type ElfObject, type ElfSymbol, type Relocation, type Section, sizeOf } from '../../formats/elf/object.ts';
import type { Architecture, Decoder } from '../../platform/platform.ts';
import { familyOf } from './names.ts';
import type { SectionClass, SectionKind } from './section-class.ts';

export interface Part {
  readonly model: Model;
  readonly section: Section;
  readonly class: SectionClass;
  readonly phase: SectionKind['phase'];
  /** The range in the section, in bytes. */
  readonly start: number;
  readonly end: number;
  /** Name of the main symbol; for a part without one, of the section. */
  readonly name: string;
  /** The main symbol. */
  readonly symbol: ElfSymbol | undefined;
  /** All symbols in the range but section symbols and labels. */
  readonly symbols: readonly ElfSymbol[];
  /** The source file, where the object has several. */
  readonly file: string;
  /** True if the section holds other parts too. */
  readonly shared: boolean;
  /** The part of the other object that is the same thing. */
  twin: Part | undefined;
}

/** Offset in the section where the function's code begins (after call padding); for others the start. */
export function entryOf(part: Part): number {
  return part.symbol?.value ?? part.start;
}

export function isFunction(part: Part): boolean {
  return part.class === 'text' && part.symbol !== undefined;
}

export function bytesOf(part: Part): Uint8Array {
  return part.section.data.subarray(part.start, part.end);
}

export class Model {
  readonly object: ElfObject;
  readonly arch: Architecture;
  readonly parts: readonly Part[];
  readonly kinds: ReadonlyMap<Section, SectionKind>;
  readonly #bySection: ReadonlyMap<Section, readonly Part[]>;
  readonly #decoders = new Map<Section, Decoder>();
  readonly #relocations = new Map<Section, readonly Relocation[]>();
  #places: Map<Section, number[]> | undefined;

  /** `divide` gives the parts of each section; it may ask the model for everything but parts. */
  constructor(
    object: ElfObject,
    arch: Architecture,
    kinds: ReadonlyMap<Section, SectionKind>,
    divide: (model: Model) => ReadonlyMap<Section, readonly Part[]>,
  ) {
    this.object = object;
    this.arch = arch;
    this.kinds = kinds;
    this.#bySection = divide(this);
    this.parts = [...this.#bySection.values()].flat();
  }

  kindOf(section: Section): SectionKind {
    return this.kinds.get(section) ?? { class: 'unknown', phase: 'always' };
  }

  partsOf(section: Section): readonly Part[] {
    return this.#bySection.get(section) ?? [];
  }

  /** Offsets in a section of the NOPs that `__patchable_function_entries` lists, in order. */
  patchablePlaces(section: Section): readonly number[] {
    if (this.#places === undefined) {
      this.#places = new Map();
      for (const table of this.object.sections) {
        if (table.name !== '__patchable_function_entries') continue;
        for (const { symbol, addend } of table.relocations) {
          if (typeof symbol?.section !== 'object') continue;
          const list = this.#places.get(symbol.section);
          if (list === undefined) this.#places.set(symbol.section, [symbol.value + addend]);
          else list.push(symbol.value + addend);
        }
      }
      for (const list of this.#places.values()) list.sort((a, b) => a - b);
    }
    return this.#places.get(section) ?? [];
  }

  /** The part that holds the byte at `offset` (a part's end belongs to it if nothing else begins there). */
  partAt(section: Section, offset: number): Part | undefined {
    const parts = this.partsOf(section);
    if (parts.length === 1) return parts[0];
    let low = 0;
    let high = parts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (parts[middle]!.start <= offset) low = middle;
      else high = middle - 1;
    }
    const part = parts[low];
    return part !== undefined && offset >= part.start && offset <= part.end ? part : undefined;
  }

  decoder(section: Section): Decoder {
    let decoder = this.#decoders.get(section);
    if (decoder === undefined) {
      decoder = this.arch.decoder(section.data);
      this.#decoders.set(section, decoder);
    }
    return decoder;
  }

  /** The relocations of a section in the order of their offsets. */
  relocationsOf(section: Section): readonly Relocation[] {
    let sorted = this.#relocations.get(section);
    if (sorted === undefined) {
      sorted = section.relocations;
      if (!isSorted(sorted)) sorted = [...sorted].sort((a, b) => a.offset - b.offset);
      this.#relocations.set(section, sorted);
    }
    return sorted;
  }

  /** The relocations in a range of a section. */
  relocationsIn(section: Section, start: number, end: number): readonly Relocation[] {
    const all = this.relocationsOf(section);
    if (start === 0 && end >= sizeOf(section)) return all;
    return all.slice(lowerBound(all, start), lowerBound(all, end));
  }

  relocationsOfPart(part: Part): readonly Relocation[] {
    return this.relocationsIn(part.section, part.start, part.end);
  }
}

function isSorted(relocations: readonly Relocation[]): boolean {
  for (let index = 1; index < relocations.length; index++) {
    if (relocations[index]!.offset < relocations[index - 1]!.offset) return false;
  }
  return true;
}

/** Index of the first relocation at or after `offset`. */
function lowerBound(relocations: readonly Relocation[], offset: number): number {
  let low = 0;
  let high = relocations.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (relocations[middle]!.offset < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The function family that a reference from this part counts for; for data the part's own name. */
export function familyOfPart(part: Part): string {
  return familyOf(part.name);
}

/** The source line of the code at an offset of the part's section, by default of its entry; from debug information. */
export function sourceOf(part: Part, offset: number = entryOf(part)): SourceLine | undefined {
  return part.class === 'text' ? lineTableOf(part.model.object).at(part.section, offset) : undefined;
}

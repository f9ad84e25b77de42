/**
 * Splits an object into parts: functions, data objects, unnamed pieces. Parts are paired, compared and extracted. With
 * -ffunction-sections most parts are whole sections; if several functions share a section, each is a part.
 */

import { lineTableOf, type SourceLine } from '../../formats/dwarf/line-table.ts';
import { type ElfObject, type ElfSymbol, type Relocation, type Section, sizeOf } from '../../formats/elf/object.ts';
import type { Architecture, Decoder } from '../../platform/platform.ts';
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

/** What a model knows of a section; one map for all, since each relocation asks for several of these. */
interface Known {
  readonly kind: SectionKind;
  parts: readonly Part[];
  decoder?: Decoder;
  /** How far the instructions were followed from `start`: an instruction begins at `at`. */
  walk?: { start: number; at: number };
  relocations?: readonly Relocation[];
}

const unknown: SectionKind = { class: 'unknown', phase: 'always' };
const noParts: readonly Part[] = [];

export class Model {
  readonly object: ElfObject;
  readonly arch: Architecture;
  readonly parts: readonly Part[];
  readonly kinds: ReadonlyMap<Section, SectionKind>;
  readonly #known = new Map<Section, Known>();
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
    for (const [section, kind] of kinds) this.#known.set(section, { kind, parts: noParts });
    const divided = divide(this);
    for (const [section, parts] of divided) this.#of(section).parts = parts;
    this.parts = [...divided.values()].flat();
  }

  #of(section: Section): Known {
    let known = this.#known.get(section);
    if (known === undefined) {
      known = { kind: unknown, parts: noParts };
      this.#known.set(section, known);
    }
    return known;
  }

  kindOf(section: Section): SectionKind {
    return this.#known.get(section)?.kind ?? unknown;
  }

  partsOf(section: Section): readonly Part[] {
    return this.#known.get(section)?.parts ?? noParts;
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
    const known = this.#of(section);
    known.decoder ??= this.arch.decoder(section.data);
    return known.decoder;
  }

  /**
   * Where the instruction ends that holds the byte at `offset`, if instructions are decoded one after the other from `start`;
   * undefined if they end before. A byte that is no instruction counts as one of one byte.
   */
  instructionEnd(section: Section, start: number, offset: number): number | undefined {
    const known = this.#of(section);
    const decoder = this.decoder(section);
    const size = sizeOf(section);
    // Relocations are asked for in their order, so the walk goes on where the one before ended.
    let at = known.walk?.start === start && known.walk.at <= offset ? known.walk.at : start;
    while (at <= offset && at < size) {
      const next = at + (decoder.instruction(at)?.length ?? 1);
      if (offset < next) {
        known.walk = { start, at };
        return next;
      }
      at = next;
    }
    return undefined;
  }

  /** The relocations of a section in the order of their offsets. */
  relocationsOf(section: Section): readonly Relocation[] {
    const known = this.#of(section);
    if (known.relocations === undefined) {
      const { relocations } = section;
      known.relocations = isSorted(relocations) ? relocations : [...relocations].sort((a, b) => a.offset - b.offset);
    }
    return known.relocations;
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

/** Index of the first relocation at or after `offset`, of relocations in order. */
export function lowerBound(relocations: readonly Relocation[], offset: number): number {
  let low = 0;
  let high = relocations.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (relocations[middle]!.offset < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The source line of the code at an offset of the part's section, by default of its entry; from debug information. */
export function sourceOf(part: Part, offset: number = entryOf(part)): SourceLine | undefined {
  return part.class === 'text' ? lineTableOf(part.model.object).at(part.section, offset) : undefined;
}

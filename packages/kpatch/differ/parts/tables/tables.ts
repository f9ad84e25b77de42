/** The special sections of an object, entry by entry, each with the part whose code it describes. */
import type { Relocation, Section } from '../../../formats/elf/object.ts';
import type { SpecialSection } from '../../../platform/common/special.ts';
import type { Model, Part } from '../part.ts';
import { tableBias, targetOf } from '../target.ts';
import { entryError, formOf, isZero, type SizeHints } from './table-form.ts';

export interface Entry {
  readonly table: SpecialSection;
  readonly section: Section;
  /** The range in the section; nothing may fill up the last entry, so that it ends beyond the section (`entryBytes`). */
  readonly start: number;
  readonly end: number;
  readonly relocations: readonly Relocation[];
  /** The part that the entry belongs to, and where in it. */
  readonly part: Part;
  readonly offset: number;
  /** The entry of the parallel table. */
  readonly parallel: { readonly section: Section; readonly start: number; readonly end: number } | undefined;
}

/** Entries by their part, each list by table and offset. Entries of nothing that is loaded are not listed. */
export type Entries = ReadonlyMap<Part, readonly Entry[]>;

/** The bytes of an entry of the whole size. What the section lacks of its last one is zero. */
export function entryBytes({ section, start, end }: Entry): Uint8Array {
  const bytes = section.data.subarray(start, end);
  if (bytes.length === end - start) return bytes;
  const whole = new Uint8Array(end - start);
  whole.set(bytes);
  return whole;
}

/** Reads all tables. Error: `diff-entry-size` if the size of the entries cannot be determined. */
export function readEntries(model: Model, tables: readonly SpecialSection[], hints: SizeHints): Entries {
  const entries = new Map<Part, Entry[]>();
  const byName = new Map(tables.map((table) => [table.name, table]));
  const parallels = new Map<string, Section[]>();
  for (const section of model.object.sections) {
    const list = parallels.get(section.name);
    if (list === undefined) parallels.set(section.name, [section]);
    else list.push(section);
  }
  for (const section of model.object.sections) {
    const table = byName.get(section.name);
    if (table === undefined || section.data.length === 0) continue;
    const position = parallels.get(section.name)!.indexOf(section);
    const beside = table.parallel === undefined ? undefined : parallels.get(table.parallel.name)?.[position];
    readTable(model, section, table, beside, hints, entries);
  }
  for (const list of entries.values()) list.sort((a, b) => order(a.table.name, b.table.name) || a.offset - b.offset);
  return entries;
}

const indexes = new WeakMap<Entries, Map<Section, Map<number, Entry>>>();

/** The entry that begins at an offset of a table. */
export function entryAt(entries: Entries, section: Section, start: number): Entry | undefined {
  let index = indexes.get(entries);
  if (index === undefined) {
    index = new Map();
    for (const entry of [...entries.values()].flat()) {
      const starts = index.get(entry.section);
      if (starts === undefined) index.set(entry.section, new Map([[entry.start, entry]]));
      else starts.set(entry.start, entry);
    }
    indexes.set(entries, index);
  }
  return index.get(section)?.get(start);
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function readTable(
  model: Model,
  section: Section,
  table: SpecialSection,
  beside: Section | undefined,
  hints: SizeHints,
  entries: Map<Part, Entry[]>,
): void {
  const relocations = model.relocationsOf(section);
  const { form, size } = formOf(model, section, table, hints);
  const besideSize = besideSizeOf(model, section, table, beside, size, hints);
  let next = 0;
  for (let start = 0, index = 0; start < section.data.length; start += size, index++) {
    const own: Relocation[] = [];
    while (next < relocations.length && relocations[next]!.offset < start + size) own.push(relocations[next++]!);
    const location = own.find((one) => one.offset === start + table.location && !isMinus(model, one));
    if (location === undefined) {
      if (own.length === 0 && isZero(section.data, start, start + size)) continue; // a terminator
      throw entryError(model, section, start, 'an entry does not refer to code');
    }
    const place = placeOf(model, section, location);
    if (place === undefined) continue; // code of init sections that are gone, or of another table
    const parallel =
      beside === undefined ? undefined : { section: beside, start: index * besideSize, end: (index + 1) * besideSize };
    const entry = {
      table: form,
      section,
      start,
      end: start + size,
      relocations: own,
      part: place.part,
      offset: place.offset,
      parallel,
    };
    const list = entries.get(place.part);
    if (list === undefined) entries.set(place.part, [entry]);
    else list.push(entry);
  }
}

/**
 * The place that a location field means. The address counts alone: recordmcount tells all places of a section by their
 * distance from the first function in it.
 */
function placeOf(model: Model, section: Section, location: Relocation): { part: Part; offset: number } | undefined {
  const { symbol, addend } = location;
  if (typeof symbol?.section !== 'object') return undefined;
  const address = symbol.value + addend + tableBias(model, section, location);
  const part = model.partAt(symbol.section, address);
  return part && { part, offset: address - part.start };
}

/**
 * Bytes of the code elsewhere that an entry names, which begins at `start` of its section; 0 where the entry does not say
 * it. It never reaches beyond the section.
 */
export function replacementLength(model: Model, entry: Entry, section: Section, start: number): number {
  const { length, end } = entry.table.replacement ?? {};
  let size = length === undefined ? 0 : (entry.section.data[entry.start + length] ?? 0);
  const last = entry.relocations.find(({ offset }) => end !== undefined && offset === entry.start + end);
  if (last !== undefined) {
    const target = targetOf(model, entry.section, last);
    if (target.kind === 'part' && target.part.section === section) size = target.part.start + target.offset - start;
  }
  return Math.max(0, Math.min(size, section.data.length - start));
}

function isMinus(model: Model, { type }: Relocation): boolean {
  return model.arch.relocation(type)?.form === 'minus';
}

/** Bytes of an entry of the parallel table: it has as many entries as the table itself. */
function besideSizeOf(
  model: Model,
  section: Section,
  table: SpecialSection,
  beside: Section | undefined,
  size: number,
  { told, note }: SizeHints,
): number {
  if (table.parallel === undefined) return 0;
  if (beside === undefined) throw entryError(model, section, 0, `the parallel table ${table.parallel.name} is missing`);
  const count = section.data.length / size;
  const besideSize = beside.data.length / count;
  if (!Number.isInteger(besideSize)) {
    throw entryError(model, beside, 0, `its ${beside.data.length} bytes are not ${count} entries of one size`);
  }
  const given = told[beside.name];
  if (given !== undefined && given !== besideSize)
    note(`${beside.name}: the entries have ${besideSize} bytes in this object, not ${given} as given`);
  return besideSize;
}

/** The special sections of an object, entry by entry, each with the part whose code it describes. */

import { fail } from '../../base/errors/error.ts';
import type { Relocation, Section } from '../../formats/elf/object.ts';
import type { SpecialSection } from '../../platform/special.ts';
import type { Model, Part } from './part.ts';
import { tableBias, targetOf } from './target.ts';

export interface Entry {
  readonly table: SpecialSection;
  readonly section: Section;
  /** The range in the section. */
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

/**
 * Reads all tables. `sizes` wins over the sizes of the architecture's list.
 * Error: `diff-entry-size` where the size of the entries cannot be told, or the known one does not fit.
 */
export function readEntries(
  model: Model,
  tables: readonly SpecialSection[],
  sizes: Readonly<Record<string, number>>,
): Entries {
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
    readTable(model, section, table, beside, sizes, entries);
  }
  for (const list of entries.values()) list.sort((a, b) => order(a.table.name, b.table.name) || a.offset - b.offset);
  return entries;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function readTable(
  model: Model,
  section: Section,
  table: SpecialSection,
  beside: Section | undefined,
  sizes: Readonly<Record<string, number>>,
  entries: Map<Part, Entry[]>,
): void {
  const relocations = model.relocationsOf(section);
  const { form, size } = formOf(model, section, table, sizes[section.name]);
  const besideSize = besideSizeOf(model, section, table, beside, size, sizes);
  let next = 0;
  for (let start = 0, index = 0; start < section.data.length; start += size, index++) {
    const own: Relocation[] = [];
    while (next < relocations.length && relocations[next]!.offset < start + size) own.push(relocations[next++]!);
    const location = own.find((one) => one.offset === start + table.location && !isMinus(model, one));
    if (location === undefined) {
      if (own.length === 0 && isZero(section.data, start, start + size)) continue; // a terminator
      throw entryError(model, section, start, 'an entry says not which code it belongs to');
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
 * The place that a location field means. The address counts alone: recordmcount tells all places of a section by their distance
 * from the first function in it.
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

function besideSizeOf(
  model: Model,
  section: Section,
  table: SpecialSection,
  beside: Section | undefined,
  size: number,
  sizes: Readonly<Record<string, number>>,
): number {
  if (table.parallel === undefined) return 0;
  if (beside === undefined)
    throw entryError(model, section, 0, `the table ${table.parallel.name} beside it is missing`);
  const count = section.data.length / size;
  const besideSize = sizes[beside.name] ?? beside.data.length / count;
  if (besideSize * count !== beside.data.length || !Number.isInteger(besideSize)) {
    throw entryError(model, beside, 0, `it should have ${count} entries of ${besideSize} bytes`);
  }
  return besideSize;
}

function isZero(data: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (data[at] !== 0) return false;
  return true;
}

/** The form of the table that the entries have: of the size told, of the kernel's version, of another version, or measured. */
function formOf(
  model: Model,
  section: Section,
  table: SpecialSection,
  told: number | undefined,
): { form: SpecialSection; size: number } {
  const forms = [table, ...(table.others ?? [])];
  if (told !== undefined) {
    if (!fits(model, section, { ...table, also: undefined }, told)) throw wrongSize(model, section, told);
    const known = forms.filter((form) => form.size === told && fits(model, section, form, told));
    return { form: known.find(({ also }) => also !== undefined) ?? known[0] ?? withoutLine(table), size: told };
  }
  for (const form of forms) {
    if (form.size !== undefined && fits(model, section, form, form.size)) return { form, size: form.size };
  }
  const measured = measure(model, section, table);
  // Of a form that nobody knows only what all have is used.
  if (measured !== undefined && table.size === undefined) return { form: table, size: measured };
  if (measured !== undefined && table.replacement === undefined) return { form: withoutLine(table), size: measured };
  throw wrongSize(model, section, table.size);
}

/** The table as one of which it is not known where entries have their line. */
function withoutLine({ line, ...form }: SpecialSection): SpecialSection {
  void line;
  return form;
}

function wrongSize(model: Model, section: Section, size: number | undefined): Error {
  const problem =
    size === undefined
      ? 'the size of its entries is not known'
      : `its ${section.data.length} bytes are no entries of ${size} bytes`;
  return entryError(model, section, 0, problem);
}

/** True where every entry of that size has a relocation in its location field. */
function fits(model: Model, section: Section, table: SpecialSection, size: number): boolean {
  if (size <= 0 || section.data.length % size !== 0) return false;
  const relocations = model.relocationsOf(section);
  const places = new Set(relocations.map(({ offset }) => offset));
  for (let start = 0; start < section.data.length; start += size) {
    const whole = places.has(start + table.location) && (table.also === undefined || places.has(start + table.also));
    if (!whole && !isZero(section.data, start, start + size)) return false;
  }
  return true;
}

/**
 * The size that the relocations show: the smallest period of their offsets and types. With one entry alone there is no
 * period: then the whole section is one entry.
 */
function measure(model: Model, section: Section, table: SpecialSection): number | undefined {
  const relocations = model.relocationsOf(section);
  const { length } = section.data;
  const first = relocations[0];
  if (first === undefined || first.offset !== table.location) return undefined;
  for (let count = 1; count < relocations.length; count++) {
    const size = relocations[count]!.offset - first.offset;
    if (size === 0 || relocations.length % count !== 0 || size * (relocations.length / count) !== length) continue;
    const periodic = relocations.every(({ offset, type }, index) => {
      const before = relocations[index - count];
      return before === undefined || (before.offset + size === offset && before.type === type);
    });
    if (periodic) return size;
  }
  return length <= 64 ? length : undefined;
}

function entryError(model: Model, section: Section, offset: number, problem: string): Error {
  const { file } = model.object;
  return fail(
    'diff-entry-size',
    { section: section.name, problem },
    { where: { file, section: section.name, offset } },
  );
}

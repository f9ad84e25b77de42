/**
 * Which form the entries of a table have: how many bytes, and which fields. The relocations of the object decide. A size
 * that somebody tells, debug information and the kernel's version only choose between forms that fit the relocations.
 */

import { failure } from '../../../base/errors/error.ts';
import { SHF } from '../../../formats/elf/constants.ts';
import type { Relocation, Section } from '../../../formats/elf/object.ts';
import type { Field, SpecialSection } from '../../../platform/common/special.ts';
import { lowerBound, type Model } from '../part.ts';

/** What is known of the sizes of entries beside the object itself. */
export interface SizeHints {
  /** Bytes of an entry by section name, as the user or build script gave them. */
  readonly told: Readonly<Record<string, number>>;
  /** Bytes of a structure by its name, from debug information. */
  readonly structSize: (name: string) => number | undefined;
  /** Takes a sentence for the user. */
  readonly note: (text: string) => void;
}

export interface Form {
  readonly form: SpecialSection;
  /** Bytes of an entry. */
  readonly size: number;
}

/** The form of a table's entries. Error: `diff-entry-size` if none fits. */
export function formOf(model: Model, section: Section, table: SpecialSection, hints: SizeHints): Form {
  const told = hints.told[section.name];
  const chosen = chooseForm(model, section, table, told, hints);
  if (told !== undefined && told !== chosen.size) {
    hints.note(`${section.name}: the entries have ${chosen.size} bytes in this object, not ${told} as given`);
  }
  return chosen;
}

function chooseForm(
  model: Model,
  section: Section,
  table: SpecialSection,
  told: number | undefined,
  hints: SizeHints,
): Form {
  const forms = [table, ...(table.others ?? [])];
  const fitting = forms.filter((form) => fits(model, section, form, form.size));
  const first = fitting[0];
  if (first !== undefined) {
    const sizes = new Set(fitting.map(({ size }) => size));
    const wanted = sizes.size === 1 ? undefined : (told ?? debugSize(table, hints));
    const form = fitting.find(({ size }) => size === wanted) ?? first;
    return { form, size: form.size! };
  }
  // An unknown form: use only what all forms have in common.
  const unknown = unknownForm(table);
  const measured = measure(model, section, table);
  for (const size of [told, debugSize(table, hints), measured]) {
    if (size === undefined || !fits(model, section, unknown, size)) continue;
    if (size === measured && size !== told && table.replacement !== undefined) continue;
    return { form: unknown, size };
  }
  throw entryError(model, section, 0, problemWith(section, told ?? table.size));
}

function debugSize({ struct }: SpecialSection, hints: SizeHints): number | undefined {
  return struct === undefined ? undefined : hints.structSize(struct);
}

/** The table as one of which only the location is known, and not where entries have their line. */
function unknownForm({ line, fields, others, least, ...form }: SpecialSection): SpecialSection {
  void [line, fields, others, least];
  return form;
}

function problemWith({ data }: Section, size: number | undefined): string {
  if (size === undefined) return 'the size of its entries is unknown';
  return `its ${data.length} bytes and their relocations are not entries of ${size} bytes`;
}

/** True if every entry of that size has relocations in the fields of the form, and nowhere else. */
function fits(model: Model, section: Section, form: SpecialSection, size: number | undefined): boolean {
  const { length } = section.data;
  if (size === undefined || size <= 0) return false;
  const last = length % size;
  if (last !== 0 && last < (form.least ?? size)) return false;
  const relocations = model.relocationsOf(section);
  const { fields } = form;
  const required = fields?.filter((field) => field.optional !== true).map(({ at }) => at) ?? [form.location];
  for (let start = 0; start < length; start += size) {
    const from = lowerBound(relocations, start);
    if (required.every((at) => isThere(relocations, from, start + at))) continue;
    if (!isEmpty(section, relocations, from, start, start + size)) return false;
  }
  if (fields === undefined) return true;
  for (const [index, relocation] of relocations.entries()) {
    const { offset } = relocation;
    // Of several in one place (a difference of two symbols) the last counts.
    if (relocations[index + 1]?.offset === offset) continue;
    if (!fields.some((field) => field.at === offset % size && isOfField(model, relocation, field))) return false;
  }
  return true;
}

function isOfField(model: Model, { type, symbol }: Relocation, field: Field): boolean {
  const kind = model.arch.relocation(type);
  const home = symbol?.section;
  const inCode = typeof home === 'object' && (home.flags & SHF.EXECINSTR) !== 0;
  if (field.to !== undefined && inCode !== (field.to === 'code') && kind?.form !== 'minus') return false;
  return kind === undefined || kind.form === 'none' || kind.bytes === undefined || kind.bytes === field.bytes;
}

/** True if one of the relocations, which are in order, is at `offset`; none before index `from` is. */
function isThere(relocations: readonly Relocation[], from: number, offset: number): boolean {
  for (let index = from; index < relocations.length; index++) {
    const at = relocations[index]!.offset;
    if (at >= offset) return at === offset;
  }
  return false;
}

/** True for a range of zeros without relocations: a terminator. `from` is the index of the first relocation at or after `start`. */
function isEmpty(
  { data }: Section,
  relocations: readonly Relocation[],
  from: number,
  start: number,
  end: number,
): boolean {
  const next = relocations[from];
  return (next === undefined || next.offset >= end) && isZero(data, start, end);
}

export function isZero(data: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < Math.min(end, data.length); at++) if (data[at] !== 0) return false;
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

export function entryError(model: Model, section: Section, offset: number, problem: string): Error {
  const { file } = model.object;
  return failure(
    'diff-entry-size',
    { section: section.name, problem },
    { where: { file, section: section.name, offset } },
  );
}

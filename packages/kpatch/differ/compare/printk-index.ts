/**
 * The index of printk's formats (CONFIG_PRINTK_INDEX, since 5.15): `.printk_index` holds pointers to `struct pi_entry`, which
 * no code refers to. An entry says the name of its function and the format, so it is found by what the function prints.
 */
import { SHF } from '../../formats/elf/constants.ts';
import type { Section } from '../../formats/elf/object.ts';
import { codeOf } from '../parts/code.ts';
import { isFunction, type Model, type Part } from '../parts/part.ts';
import { familyOf } from '../parts/symbols/names.ts';
import type { Entries } from '../parts/tables/tables.ts';
import { contentOf, type ReferenceTarget, targetOf, throughList } from '../parts/target.ts';

/** Offsets in struct pi_entry (include/linux/printk.h), which is packed. */
const FIELDS = { format: 0, function: 8 } as const;

interface IndexEntry {
  readonly part: Part;
  readonly function: string;
}

export class PrintkIndex {
  readonly #model: Model;
  readonly #byFormat = new Map<string, IndexEntry[]>();
  readonly #functions = new Set<string>();

  constructor(model: Model, entries: Entries) {
    this.#model = model;
    for (const [part, list] of entries) if (list.some(({ table }) => table.name === '.printk_index')) this.#add(part);
    if (this.#byFormat.size === 0) return;
    for (const part of model.parts) if (isFunction(part)) this.#functions.add(familyOf(part.name));
  }

  #add(part: Part): void {
    const format = this.#textAt(part, FIELDS.format);
    const name = this.#textAt(part, FIELDS.function);
    if (format === undefined || name === undefined) return;
    const list = this.#byFormat.get(format);
    if (list === undefined) this.#byFormat.set(format, [{ part, function: name }]);
    else list.push({ part, function: name });
  }

  /** The string that a pointer in an entry leads to. */
  #textAt(part: Part, field: number): string | undefined {
    const relocation = this.#model.relocationsOfPart(part).find(({ offset }) => offset - part.start === field);
    return relocation && textOf(targetOf(this.#model, part.section, relocation));
  }

  /** The entries of what a function prints: its own, and those of functions that are only there as part of others. */
  of(part: Part): readonly Part[] {
    if (this.#byFormat.size === 0 || !isFunction(part)) return [];
    const family = familyOf(part.name);
    const found: Part[] = [];
    for (const relocation of codeOf(part).relocations) {
      const target = throughList(this.#model, targetOf(this.#model, part.section, relocation));
      if (target.kind !== 'content') continue;
      for (const entry of this.#byFormat.get(textOf(target) ?? '') ?? []) {
        if (entry.function === family || !this.#functions.has(entry.function)) found.push(entry.part);
      }
    }
    return found;
  }
}

/** A string of a mergeable section, or what an array of characters holds up to its NUL. */
function textOf(target: ReferenceTarget): string | undefined {
  if (target.kind === 'content') {
    return (target.section.flags & SHF.STRINGS) === 0 ? undefined : text(target.section, target.at + target.offset);
  }
  if (target.kind !== 'part' || target.part.class !== 'read-only') return undefined;
  const { section, start, end } = target.part;
  const bytes = section.data.subarray(start + target.offset, end);
  const length = bytes.indexOf(0);
  return length < 0 ? undefined : Buffer.from(bytes.subarray(0, length)).toString('latin1');
}

function text(section: Section, at: number): string {
  return Buffer.from(contentOf(section, at)).toString('latin1');
}

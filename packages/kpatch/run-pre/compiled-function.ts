/** A function in a freshly compiled object, as run-pre matching takes it. */
import { STT } from '../formats/elf/constants.ts';
import { definedIn, type ElfObject, type ElfSymbol, type Relocation, type Section } from '../formats/elf/object.ts';
import type { KernelRules } from '../platform/kernel-rules.ts';
import type { Architecture } from '../platform/platform.ts';
import { tablesOf } from '../platform/structures.ts';

export interface CompiledFunction {
  readonly name: string;
  readonly section: Section;
  /** Offsets in the section. */
  readonly start: number;
  readonly end: number;
  /** Relocations of fields inside, in ascending order; offsets count from the start of the section. */
  readonly relocations: readonly Relocation[];
  /** Places that are jump labels: objtool may turn their jump into a nop or leave it (include/linux/jump_label.h). */
  readonly jumpLabels: ReadonlySet<number>;
}

/**
 * The function that a symbol defines; undefined for a symbol that is not a function with a size in this object. `kernel` is the
 * one that it is compiled for.
 */
export function compiledFunction(
  object: ElfObject,
  symbol: ElfSymbol,
  arch: Architecture,
  kernel: KernelRules,
): CompiledFunction | undefined {
  const section = definedIn(symbol);
  if (section === undefined || symbol.type !== STT.FUNC || symbol.size === 0) return undefined;
  const start = symbol.value;
  const end = start + symbol.size;
  if (end > section.data.length) return undefined;
  const relocations = section.relocations
    .filter(({ offset, type }) => arch.relocation(type)?.form !== 'none' && offset >= start && offset < end)
    .sort((a, b) => a.offset - b.offset);
  return {
    name: symbol.name,
    section,
    start,
    end,
    relocations,
    jumpLabels: jumpLabelsIn(object, section, arch, kernel),
  };
}

const labels = new WeakMap<ElfObject, Map<Section, Set<number>>>();

function jumpLabelsIn(
  object: ElfObject,
  section: Section,
  arch: Architecture,
  kernel: KernelRules,
): ReadonlySet<number> {
  let known = labels.get(object);
  if (known === undefined) {
    known = new Map();
    const form = tablesOf(arch, kernel).find(({ key }) => key?.kind === 'jump label');
    for (const table of object.sections) {
      if (form?.size === undefined || table.name !== form.name) continue;
      for (const { offset, symbol, addend } of table.relocations) {
        const code = symbol === undefined ? undefined : definedIn(symbol);
        if (offset % form.size !== form.location || code === undefined) continue;
        const places = known.get(code) ?? new Set<number>();
        places.add(symbol!.value + addend);
        known.set(code, places);
      }
    }
    labels.set(object, known);
  }
  return known.get(section) ?? new Set();
}

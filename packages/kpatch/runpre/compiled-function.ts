/** A function in a freshly compiled object, as run-pre matching takes it. */
import { STT } from '../formats/elf/constants.ts';
import { definedIn, type ElfObject, type ElfSymbol, type Relocation, type Section } from '../formats/elf/object.ts';

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

/** Bytes of an entry of `__jump_table` with relative fields: code, target, key. */
const JUMP_ENTRY = 16;

/** The function that a symbol defines; undefined for a symbol that is not a function with a size in this object. */
export function compiledFunction(object: ElfObject, symbol: ElfSymbol): CompiledFunction | undefined {
  const section = definedIn(symbol);
  if (section === undefined || symbol.type !== STT.FUNC || symbol.size === 0) return undefined;
  const start = symbol.value;
  const end = start + symbol.size;
  if (end > section.data.length) return undefined;
  const relocations = section.relocations
    .filter(({ offset, type }) => type !== 0 && offset >= start && offset < end)
    .sort((a, b) => a.offset - b.offset);
  return { name: symbol.name, section, start, end, relocations, jumpLabels: jumpLabelsIn(object, section) };
}

const labels = new WeakMap<ElfObject, Map<Section, Set<number>>>();

function jumpLabelsIn(object: ElfObject, section: Section): ReadonlySet<number> {
  let known = labels.get(object);
  if (known === undefined) {
    known = new Map();
    for (const table of object.sections) {
      if (table.name !== '__jump_table') continue;
      for (const { offset, symbol, addend } of table.relocations) {
        const code = symbol === undefined ? undefined : definedIn(symbol);
        if (offset % JUMP_ENTRY !== 0 || code === undefined) continue;
        const places = known.get(code) ?? new Set<number>();
        places.add(symbol!.value + addend);
        known.set(code, places);
      }
    }
    labels.set(object, known);
  }
  return known.get(section) ?? new Set();
}

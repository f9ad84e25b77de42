/**
 * Prepares the symbols of the parts of a livepatch module for linking, so that the glue code can refer to the functions.
 */

import { failure } from '../../base/errors/error.ts';
import { callbackSection, type KernelRelocation, type UnitPatch } from '../../differ/patch.ts';
import { STB, STT } from '../../formats/elf/constants.ts';
import { type ElfObject, type ElfSymbol, newSymbol } from '../../formats/elf/object.ts';
import { writeObject } from '../../formats/elf/write-object.ts';
import type { GlueCallbacks, GlueObject } from './glue.ts';
import { dropSections } from './klp.ts';
import { addPlaces } from './places.ts';

/** Names that the glue uses for symbols of the parts; they are taken out again once the module is linked. */
const ALIAS = 'kpatch_part';

export interface Parts {
  readonly objects: readonly Uint8Array[];
  readonly glue: readonly GlueObject[];
  /** Of all parts; `addPlaces` marked their places by their index. */
  readonly relocations: readonly KernelRelocation[];
}

interface Entry {
  readonly functions: GlueObject['functions'][number][];
  readonly callbacks: Record<string, string>;
}

/**
 * Gives the functions that each unit replaces or calls back names that the glue can link to, marks the places of livepatch
 * relocations, and drops the callbacks of the author, which the static glue has. It changes the objects of `patches`.
 * Error: `callback-twice`.
 */
export function prepareParts(patches: readonly UnitPatch[]): Parts {
  const glue = new Map<string, Entry>();
  const entry = (object: string): Entry => {
    const found = glue.get(object) ?? { functions: [], callbacks: {} };
    glue.set(object, found);
    return found;
  };
  const relocated = new Set<string>();
  const relocations: KernelRelocation[] = [];
  separateObjects(patches);
  const objects = patches.map(({ object: patched, elf: object, ...patch }, index) => {
    let count = 0;
    const alias = (symbol: ElfSymbol, offset = 0): string => {
      const name = `${ALIAS}_${index}_${count++}_${nameAt(object, symbol, offset).replace(/\W/g, '_')}`;
      object.symbols.push(
        newSymbol({
          name,
          bind: STB.GLOBAL,
          type: STT.FUNC,
          section: symbol.section,
          value: symbol.value + offset,
          size: symbol.size,
        }),
      );
      return name;
    };
    for (const { name, sympos, symbol } of patch.functions) {
      entry(patched).functions.push({ name, sympos, replacement: alias(symbol) });
    }
    for (const { phase, symbol, offset } of patch.callbacks) {
      if (entry(patched).callbacks[phase] !== undefined) throw failure('callback-twice', { phase, object: patched });
      entry(patched).callbacks[phase] = alias(symbol, offset);
    }
    for (const { object: home, symbol } of patch.relocations) {
      if (home !== 'vmlinux' && symbol.object !== 'vmlinux') relocated.add(home);
    }
    dropSections(object, ({ name }) => name.startsWith(callbackSection('')));
    addPlaces(object, patch.relocations, relocations.length);
    relocations.push(...patch.relocations);
    return writeObject(object);
  });
  const sorted = [...glue].sort(([a], [b]) => (a === 'vmlinux' ? -1 : b === 'vmlinux' ? 1 : a < b ? -1 : 1));
  return {
    objects,
    relocations,
    glue: sorted.map(([object, { functions, callbacks }]) => ({
      object,
      functions,
      callbacks: callbacks as GlueCallbacks,
      relocated: relocated.has(object),
    })),
  };
}

/**
 * A unit that is part of two modules defines its new names for each: within one link they need names of their own, and each
 * module's code has to reach its own. What a module does not define itself it takes from vmlinux or another module.
 */
function separateObjects(parts: readonly UnitPatch[]): void {
  const definers = new Map<string, Set<string>>();
  for (const { object, elf } of parts) {
    for (const symbol of elf.symbols.filter(isDefinedForOthers)) {
      definers.set(symbol.name, (definers.get(symbol.name) ?? new Set()).add(object));
    }
  }
  for (const { object, elf } of parts) {
    for (const symbol of elf.symbols) {
      const objects = definers.get(symbol.name);
      if (objects === undefined || objects.size < 2 || object === 'vmlinux' || !objects.has(object)) continue;
      if (isDefinedForOthers(symbol) || symbol.section === 'undef') symbol.name = `${symbol.name}__${object}`;
    }
  }
}

function isDefinedForOthers({ bind, section, name }: ElfSymbol): boolean {
  return bind !== STB.LOCAL && section !== 'undef' && name !== '';
}

/** The function's name, where a symbol of a section stands for it. */
function nameAt(object: ElfObject, symbol: ElfSymbol, offset: number): string {
  if (symbol.type !== STT.SECTION) return symbol.name;
  const value = symbol.value + offset;
  const named = object.symbols.find((one) => one.section === symbol.section && one.value === value && one.name !== '');
  return named?.name ?? symbol.name;
}

/** Takes the names out of the linked module: relocations to them become relocations to their sections' own symbols. */
export function removeAliases(object: ElfObject): void {
  const isAlias = (symbol: ElfSymbol): boolean => symbol.name.startsWith(`${ALIAS}_`);
  const real = new Map<object, Map<number, ElfSymbol>>();
  for (const symbol of object.symbols) {
    const { section, value } = symbol;
    if (typeof section !== 'object' || isAlias(symbol) || symbol.type === STT.SECTION) continue;
    const bySection = real.get(section) ?? new Map<number, ElfSymbol>();
    if (symbol.type === STT.FUNC || !bySection.has(value)) bySection.set(value, symbol);
    real.set(section, bySection);
  }
  const kept = new Set<ElfSymbol>();
  for (const section of object.sections) {
    for (const relocation of section.relocations) {
      const { symbol } = relocation;
      if (symbol === undefined || !isAlias(symbol)) continue;
      const target = typeof symbol.section === 'object' ? real.get(symbol.section)?.get(symbol.value) : undefined;
      if (target === undefined) kept.add(symbol);
      else relocation.symbol = target;
    }
  }
  object.symbols = object.symbols.filter((symbol) => !isAlias(symbol) || kept.has(symbol));
}

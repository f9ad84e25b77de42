/**
 * Tells static symbols with the same name apart by the source file: a symbol table with FILE symbols lists the static
 * symbols of each compilation unit after its FILE symbol, and only one such list fits the object.
 */
import { STB, STT } from '../../../formats/elf/constants.ts';
import { readObject } from '../../../formats/elf/read-object.ts';
import type { AmbiguousSymbol, TargetSymbol } from '../../options.ts';

interface Unit {
  readonly file: string;
  /** Names of its static functions and objects, with the positions in the table. */
  readonly names: Map<string, number[]>;
}

/**
 * A resolver for `DiffOptions.resolve` that finds the object's unit in the symbol table. It gives no answer where no unit
 * or several fit.
 */
export function localsMatcher(
  object: Uint8Array,
  file: string,
  symbols: readonly TargetSymbol[],
): (symbol: AmbiguousSymbol) => number | undefined {
  let unit: Unit | undefined | null = null;
  return ({ name }) => {
    if (unit === null) unit = findUnit(object, file, symbols);
    const places = unit?.names.get(name);
    if (places?.length !== 1) return undefined;
    let position = 0;
    for (let index = 0; index <= places[0]!; index++) if (symbols[index]!.name === name) position++;
    return position;
  };
}

function findUnit(bytes: Uint8Array, file: string, symbols: readonly TargetSymbol[]): Unit | undefined {
  const object = readObject(bytes, file);
  const wanted = new Set<string>();
  const files = new Set<string>();
  for (const { name, bind, type } of object.symbols) {
    if (type === STT.FILE) files.add(name);
    if (bind !== STB.LOCAL || (type !== STT.FUNC && type !== STT.OBJECT)) continue;
    if (isStable(name)) wanted.add(name);
  }
  const fitting = unitsOf(symbols).filter((unit) => {
    if (files.size > 0 && !files.has(unit.file)) return false;
    for (const name of wanted) if (!unit.names.has(name)) return false;
    return true;
  });
  return fitting.length === 1 ? fitting[0] : undefined;
}

/** Names that a later link discards or that carry numbers do not tell units apart. */
function isStable(name: string): boolean {
  return !/[.]\d+$|^__(?:UNIQUE_ID|initcall|exitcall|ksymtab|kstrtab|addressable|compound)|^__pfx_|^\.L/.test(name);
}

function unitsOf(symbols: readonly TargetSymbol[]): Unit[] {
  const units: Unit[] = [];
  let unit: Unit | undefined;
  for (const [index, { name, file, bind }] of symbols.entries()) {
    if (bind !== 'local' || file === undefined) continue;
    // The same file name again after another one, or a list that begins again, is another unit.
    if (unit === undefined || unit.file !== file) {
      unit = { file, names: new Map() };
      units.push(unit);
    }
    const places = unit.names.get(name);
    if (places === undefined) unit.names.set(name, [index]);
    else places.push(index);
  }
  return units;
}

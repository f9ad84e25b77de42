/** Where the kernel has what stays in it: exports, and symbols of kallsyms with their positions. */
import { basename } from 'node:path';
import type { DiffOptions, TargetSymbol } from '../../options.ts';

/** How a reference from the livepatch module to something that stays is made. */
export interface Resolution {
  /** The name as the kernel has it. */
  readonly name: string;
  /** An ordinary undefined symbol that the module loader resolves; otherwise a livepatch relocation. */
  readonly ordinary: boolean;
  /** The object that defines it: `vmlinux` or a module. */
  readonly object: string;
  readonly exported: boolean;
  /** 0 where the name occurs once in its object, else its position from 1. */
  readonly sympos: number;
  /** The symbol as the object's table has it, where it is in the list. */
  readonly symbol: TargetSymbol | undefined;
}

export type Lookup =
  | { readonly found: Resolution }
  /** There is none (count 0), or there are several and nothing tells which. */
  | { readonly found: undefined; readonly count: number };

/** Symbols by name. Nearly every name has one symbol: a list for each would take more memory than the symbols. */
type Index = ReadonlyMap<string, TargetSymbol | TargetSymbol[]>;

const indices = new WeakMap<readonly TargetSymbol[], Index>();

function indexOf(symbols: readonly TargetSymbol[]): Index {
  const known = indices.get(symbols);
  if (known !== undefined) return known;
  const index = new Map<string, TargetSymbol | TargetSymbol[]>();
  for (const symbol of symbols) {
    const before = index.get(symbol.name);
    if (before === undefined) index.set(symbol.name, symbol);
    else if (Array.isArray(before)) before.push(symbol);
    else index.set(symbol.name, [before, symbol]);
  }
  indices.set(symbols, index);
  return index;
}

/** All symbols of a name, in the order of the list. */
function named(index: Index, name: string): readonly TargetSymbol[] {
  const found = index.get(name);
  return found === undefined ? [] : Array.isArray(found) ? found : [found];
}

/** A module's name as the kernel writes it, from the path or name that `Module.symvers` has. */
export function moduleName(path: string): string {
  return basename(path).replace(/\.ko$/, '').replaceAll('-', '_');
}

export interface Wanted {
  readonly name: string;
  readonly kind: 'function' | 'object' | undefined;
  readonly local: boolean;
  /** The source file by the object's FILE symbols, or empty. */
  readonly file: string;
}

export class TargetSymbols {
  readonly #options: DiffOptions;
  readonly #index: Index;

  constructor(options: DiffOptions) {
    this.#options = options;
    this.#index = indexOf(options.symbols);
  }

  /** Finds what a name means for the patched object. */
  find(wanted: Wanted): Lookup {
    const { object } = this.#options;
    const exported = wanted.local ? undefined : this.#options.exported(wanted.name);
    if (exported !== undefined) {
      const home = moduleName(exported.module);
      // An export for named modules only (EXPORT_SYMBOL_FOR_MODULES, since 6.16) can be imported by no other module.
      const closed = home === 'vmlinux' && exported.namespace?.startsWith('module:') === true;
      if (!closed && (home !== moduleName(object) || home === 'vmlinux')) {
        // A module's export is bound when the patched module is loaded, not when the patch is: no dependency arises.
        const ordinary = home === 'vmlinux' || object === 'vmlinux';
        const found = { name: wanted.name, ordinary, object: home, exported: true, sympos: 0, symbol: undefined };
        return { found };
      }
    }
    const lookup = this.own(wanted);
    if (lookup.found === undefined && lookup.count === 0 && !wanted.local) return this.#ofKernel(wanted.name) ?? lookup;
    if (lookup.found === undefined || exported === undefined) return lookup;
    return { found: { ...lookup.found, exported: true } };
  }

  /** A global symbol of vmlinux that a module's new code uses: not exported, but a livepatch relocation reaches it. */
  #ofKernel(name: string): Lookup | undefined {
    const { kernelSymbols } = this.#options;
    if (kernelSymbols === undefined) return undefined;
    const all = named(indexOf(kernelSymbols), name);
    const global = all.filter(({ bind }) => bind === 'global');
    if (global.length !== 1) return undefined;
    const sympos = all.length === 1 ? 0 : all.indexOf(global[0]!) + 1;
    return { found: { name, ordinary: false, object: 'vmlinux', exported: false, sympos, symbol: global[0] } };
  }

  /** Finds a symbol that the patched object itself defines. */
  own({ name, kind, local, file }: Wanted): Lookup {
    const all = named(this.#index, name);
    const { object } = this.#options;
    const at = (symbol: TargetSymbol): Lookup => ({
      found: {
        name,
        ordinary: false,
        object,
        exported: false,
        sympos: all.length === 1 ? 0 : all.indexOf(symbol) + 1,
        symbol,
      },
    });
    if (all.length <= 1) return all[0] === undefined ? { found: undefined, count: 0 } : at(all[0]);
    const ofKind = all.filter((symbol) => kind === undefined || symbol.kind === 'other' || symbol.kind === kind);
    const ofBind = ofKind.filter((symbol) => symbol.bind === (local ? 'local' : 'global'));
    // A linker makes hidden global symbols local.
    const fitting = ofBind.length > 0 ? ofBind : ofKind;
    if (fitting.length === 1) return at(fitting[0]!);
    const inFile = file === '' ? [] : fitting.filter((symbol) => symbol.file === file);
    if (inFile.length === 1) return at(inFile[0]!);
    const position = this.#options.resolve?.({
      name,
      kind: kind ?? 'object',
      file: this.#options.names.original,
      count: all.length,
    });
    const chosen = position === undefined ? undefined : all[position - 1];
    return chosen === undefined ? { found: undefined, count: all.length } : at(chosen);
  }
}

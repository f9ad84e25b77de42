/**
 * What becomes of each reference of what is included: it leads to something that is included, to the kernel by an ordinary
 * symbol, or to the kernel by a livepatch relocation.
 */

import { STB } from '../../formats/elf/constants.ts';
import type { ElfSymbol, Relocation, Section } from '../../formats/elf/object.ts';
import type { Use } from '../../platform/platform.ts';
import type { Changes } from '../compare/changes.ts';
import { isCopyable } from '../parts/copyable.ts';
import type { Pair } from '../parts/pair.ts';
import { entryOf, isFunction, type Part } from '../parts/part.ts';
import { familyOf } from '../parts/symbols/names.ts';
import type { Lookup, Resolution, TargetSymbols } from '../parts/symbols/symbols.ts';
import { type Entry, entryAt } from '../parts/tables/tables.ts';
import { type ReferenceTarget, targetOf, useOf } from '../parts/target.ts';
import {
  checkLate,
  checkSeal,
  refuseAmbiguous,
  refuseEnd,
  refuseInit,
  refuseSection,
  type User,
} from './reference-limits.ts';

/** What becomes of a relocation. Addends are those that fit the new symbol. */
export type Decision =
  | { readonly to: 'keep' }
  | { readonly to: 'part'; readonly part: Part }
  | { readonly to: 'content'; readonly section: Section; readonly at: number }
  /** A place in the table's entry that holds the relocation. */
  | { readonly to: 'entry'; readonly offset: number }
  /** The entry of a table, by code. */
  | { readonly to: 'table'; readonly entry: Entry }
  /** A symbol that the module leaves undefined. */
  | { readonly to: 'ordinary'; readonly symbol: ElfSymbol; readonly name: string; readonly addend: number }
  | {
      readonly to: 'livepatch';
      readonly resolution: Resolution;
      readonly symbol: ElfSymbol;
      readonly addend: number;
    };

/** What is included, as far as it is known. */
export interface Travels {
  readonly parts: ReadonlyMap<Part, unknown>;
  /** Takes a part along. */
  readonly take: (part: Part, reason: string) => void;
  /** Takes a string or constant along. */
  readonly takeContent: (section: Section, at: number) => void;
}

export class References {
  readonly #pair: Pair;
  readonly #changes: Changes;
  readonly #ambiguous: ReadonlySet<Part>;
  readonly #symbols: TargetSymbols;
  readonly #travels: Travels;
  /** The function that a cold part belongs to. */
  readonly #parents = new Map<Part, Part>();
  /** Functions that are included unchanged, beside the original. */
  readonly copies = new Set<Part>();
  /** What stays in the kernel and is referred to. */
  readonly resolutions = new Map<string, Resolution>();
  readonly unresolved = new Set<string>();
  readonly namespaces = new Set<string>();

  constructor(pair: Pair, changes: Changes, ambiguous: ReadonlySet<Part>, symbols: TargetSymbols, travels: Travels) {
    this.#pair = pair;
    this.#changes = changes;
    this.#ambiguous = ambiguous;
    this.#symbols = symbols;
    this.#travels = travels;
    for (const [parent, colds] of changes.coldParts) for (const cold of colds) this.#parents.set(cold, parent);
  }

  /** Decides one reference; parts that it needs are taken along. */
  decide(relocation: Relocation, user: User): Decision {
    const { patched } = this.#pair;
    const target = targetOf(patched, user.section, relocation);
    switch (target.kind) {
      case 'none':
        return { to: 'keep' };
      case 'content':
        this.#travels.takeContent(target.section, target.at);
        return { to: 'content', section: target.section, at: target.at };
      case 'external':
        return this.#external(target.symbol, relocation.addend, user);
      case 'section': {
        // WARN() on x86-64 gives its own entry of the table to the trap (since 6.19).
        const entry = entryAt(this.#pair.entries[1], target.section, target.offset);
        if (entry !== undefined && entry.part === user.part) return { to: 'table', entry };
        refuseSection(this.#pair, target.section, user);
        return { to: 'keep' };
      }
      case 'part':
        return this.#toPart(target, relocation, user);
    }
  }

  /** A symbol of another object file. */
  #external(symbol: ElfSymbol, addend: number, user: User): Decision {
    const { name } = symbol;
    if (symbol.section === 'abs') return { to: 'keep' };
    if (this.#pair.patched.arch.isLinkerSymbol?.(name) === true) return { to: 'ordinary', symbol, name, addend };
    const lookup = this.#symbols.find({ name, kind: undefined, local: false, file: '' });
    if (lookup.found === undefined) {
      if (lookup.count > 0) this.#missing(name, lookup, user);
      else if (symbol.bind !== STB.WEAK) this.unresolved.add(name);
      return { to: 'ordinary', symbol, name, addend };
    }
    return this.#kernel(lookup.found, symbol, addend, user);
  }

  #kernel(resolution: Resolution, symbol: ElfSymbol, addend: number, user: User): Decision {
    const { name, object, sympos, ordinary } = resolution;
    this.resolutions.set(`${object} ${name} ${sympos}`, resolution);
    if (!ordinary) {
      checkLate(this.#pair, resolution, user);
      return { to: 'livepatch', resolution, symbol, addend };
    }
    const namespace = this.#pair.options.exported(name)?.namespace;
    if (namespace !== undefined && namespace !== '') this.namespaces.add(namespace);
    return { to: 'ordinary', symbol, name, addend };
  }

  #toPart(target: ReferenceTarget & { kind: 'part' }, relocation: Relocation, user: User): Decision {
    const { part } = target;
    const inside: Decision = { to: 'part', part };
    if (isCopyable(part) || part.class === 'kpatch') return this.#along(part, user);
    if (part.class === 'unknown' || part.class === 'registry') {
      refuseSection(this.#pair, part.section, user);
      return inside;
    }
    if (part.class === 'ids' && part.twin === undefined) return inside; // refused already
    if (part.phase !== 'always' && user.part.phase === 'always') {
      refuseInit(this.#pair, part, user);
      return inside;
    }
    if (!isFunction(part)) refuseEnd(this.#pair, target, relocation, user, this.#travels.parts.keys());
    if (this.#changes.tables.has(part)) return this.#along(part, user);
    if (this.#ambiguous.has(part)) {
      // Of plain constants any copy will do.
      if (part.class === 'read-only' && part.model.relocationsOfPart(part).length === 0) return this.#along(part, user);
      refuseAmbiguous(this.#pair, part, user);
    }
    if (part.twin === undefined) return this.#along(part, user);
    if (!isFunction(part)) {
      return this.#pointsInto(part) ? this.#along(part, user) : this.#staying(part, relocation, user);
    }
    const changed = this.#changes.changed.has(part) || this.#travels.parts.has(part) || this.#isColdOfChanged(part);
    const use = useOf(this.#pair.patched, user.section, relocation);
    if (!changed) {
      return this.#mustBeNear(part, use, relocation, user)
        ? this.#along(part, user)
        : this.#staying(part, relocation, user);
    }
    if (part === user.part || user.entry !== undefined || use !== 'address') {
      const atEntry = part.start + target.offset === entryOf(part);
      if (user.entry === undefined && use === 'address' && atEntry && !isNewlyCallable(part))
        return this.#staying(part, relocation, user);
      return inside;
    }
    if (part.start + target.offset === entryOf(part)) {
      // A pointer to a function outlives the patch, and the kernel compares pointers: it stays the original's, which ftrace
      // redirects. Where no pointer could be called before, there is none, and the original must not be called by one.
      return isNewlyCallable(part) ? inside : this.#staying(part, relocation, user);
    }
    if (familyOf(part.name) !== familyOf(user.part.name) && user.part.class !== 'read-only') {
      const where = { file: this.#pair.options.names.patched, section: user.section.name, offset: relocation.offset };
      this.#pair.refusals.add('diff-reference-inner', { user: user.name, name: part.name }, where, user.part);
    }
    return inside;
  }

  /** Functions of the module that call one another expect that a jump at the end of one does not leave it either. */
  #nearJump(use: Use, { part }: User): string | undefined {
    if (use !== 'jump' || this.#pair.patched.arch.siblingCallProblem === undefined) return undefined;
    if (part.twin !== undefined && !this.copies.has(part)) return undefined;
    return 'a jump to it must not leave the module';
  }

  /** Thunks come with each object; what a call reaches only within the module is included as a copy. */
  #mustBeNear(part: Part, use: Use, relocation: Relocation, user: User): boolean {
    const { patched, notes } = this.#pair;
    if (patched.arch.isThunk?.(part.name) === true) return true;
    const reason =
      use === 'call' ? patched.arch.nearCall?.(user.section.data, relocation.offset) : this.#nearJump(use, user);
    if (reason === undefined) return false;
    this.copies.add(part);
    notes.push(`${part.name} is included as an unchanged copy because ${user.name} calls it and ${reason}`);
    return true;
  }

  /**
   * True for a constant table of labels of a function that is included (computed goto): the kernel's table has the places
   * of the old version.
   */
  #pointsInto(table: Part): boolean {
    if (table.class !== 'read-only' || table.symbol?.bind !== STB.LOCAL) return false;
    const { model } = table;
    return model.relocationsOfPart(table).some((relocation) => {
      const target = targetOf(model, table.section, relocation);
      if (target.kind !== 'part' || !isFunction(target.part)) return false;
      const travels = this.#changes.changed.has(target.part) || this.#travels.parts.has(target.part);
      return travels && target.part.start + target.offset !== entryOf(target.part);
    });
  }

  #isColdOfChanged(part: Part): boolean {
    const parent = this.#parents.get(part);
    return parent !== undefined && this.#changes.changed.has(parent);
  }

  #along(part: Part, user: User): Decision {
    this.#travels.take(part, `${user.name} refers to it`);
    return { to: 'part', part };
  }

  /** A reference to what the kernel already has. */
  #staying(part: Part, relocation: Relocation, user: User): Decision {
    const twin = part.twin!;
    const symbol = twin.symbol;
    const place = part.symbol;
    if (symbol === undefined || place === undefined) {
      this.#missing(part.name, { found: undefined, count: 0 }, user);
      return { to: 'part', part };
    }
    if (isFunction(part)) checkSeal(this.#pair, part, relocation, user);
    const addend = relocation.addend + (relocation.symbol?.value ?? 0) - place.value;
    const lookup = this.#symbols.find({
      name: symbol.name,
      kind: part.class === 'text' ? 'function' : 'object',
      local: symbol.bind === STB.LOCAL,
      file: twin.file,
    });
    if (lookup.found === undefined) {
      this.#missing(symbol.name, lookup, user);
      return { to: 'part', part };
    }
    return this.#kernel(lookup.found, place, addend, user);
  }

  #missing(name: string, lookup: Lookup & { found: undefined }, user: User): void {
    const { options, refusals } = this.#pair;
    const where = {
      file: options.names.patched,
      section: user.section.name,
      symbol: name,
      offset: user.entry?.start ?? user.part.start,
    };
    const { object } = options;
    if (lookup.count === 0) refusals.add('diff-symbol-missing', { user: user.name, name, object }, where, user.part);
    else
      refusals.add('diff-symbol-ambiguous', { user: user.name, name, object, count: lookup.count }, where, user.part);
  }
}

/**
 * True for a function that indirect calls may enter in its new version only: processors and compilers that check such calls
 * (IBT, BTI, kCFI) have something at the entry of functions whose address is taken, and of others nothing.
 */
function isNewlyCallable(part: Part): boolean {
  const { twin } = part;
  if (twin === undefined) return false;
  const lands = (one: Part): boolean =>
    one.model.arch.isLandingPad?.(one.section.data, entryOf(one)) === true ||
    one.symbols.some(({ name }) => name.startsWith('__cfi_'));
  return lands(part) && !lands(twin);
}

/**
 * What must travel in the module: the changed and new functions, and from there all they refer to that the running kernel
 * does not have. Each reference is decided once: to something that travels, to the kernel by an ordinary symbol, or to the
 * kernel by a livepatch relocation.
 */
import type { Use } from '../arch/arch.ts';
import { STB, STT } from '../elf/constants.ts';
import { definedIn, type ElfSymbol, type Relocation, type Section } from '../elf/object.ts';
import { isCallback } from './author.ts';
import type { Changes, Pair } from './changes.ts';
import { type Code, codeOf } from './code.ts';
import { isCopyable, usesOf } from './correlate.ts';
import { keyWorks } from './keys.ts';
import { familyOf } from './names.ts';
import { entryOf, isFunction, type Part } from './part.ts';
import { PrintkIndex } from './printk-index.ts';
import type { KernelSymbols, Lookup, Resolution } from './symbols.ts';
import { type Entry, replacementLength } from './tables.ts';
import { describeTarget, type Target, targetOf, useOf } from './target.ts';

/** What becomes of a relocation. Addends are those that fit the new symbol. */
export type Decision =
  | { readonly to: 'keep' }
  | { readonly to: 'part'; readonly part: Part }
  | { readonly to: 'content'; readonly section: Section; readonly at: number }
  /** A place in the table's entry that holds the relocation. */
  | { readonly to: 'entry'; readonly offset: number }
  /** A symbol that the module leaves undefined. */
  | { readonly to: 'ordinary'; readonly symbol: ElfSymbol; readonly name: string; readonly addend: number }
  | {
      readonly to: 'livepatch';
      readonly resolution: Resolution;
      readonly symbol: ElfSymbol;
      readonly addend: number;
    };

export interface Selection {
  /** In the order of the patched object. */
  readonly parts: readonly Part[];
  /** Why each part travels. */
  readonly reasons: ReadonlyMap<Part, string>;
  readonly entries: readonly Entry[];
  /** Strings and constants by their sections: where each begins. */
  readonly contents: ReadonlyMap<Section, ReadonlySet<number>>;
  readonly decisions: ReadonlyMap<Relocation, Decision>;
  /** Functions that travel unchanged, beside the original. */
  readonly copies: ReadonlySet<Part>;
  readonly references: ReadonlyMap<string, Resolution>;
  readonly unresolved: readonly string[];
  readonly namespaces: readonly string[];
}

/** Who refers: a part that travels, or an entry of a table that goes with one. */
interface User {
  readonly part: Part;
  readonly section: Section;
  readonly entry: Entry | undefined;
  readonly name: string;
}

/** Bytes of the largest variable that is no array or structure, so that nobody goes through it to its end. */
const LARGEST_SCALAR = 8;

export class Selector {
  readonly #pair: Pair;
  readonly #changes: Changes;
  readonly #ambiguous: ReadonlySet<Part>;
  readonly #symbols: KernelSymbols;
  readonly #reasons = new Map<Part, string>();
  readonly #queue: Part[] = [];
  readonly #entries: Entry[] = [];
  readonly #contents = new Map<Section, Set<number>>();
  readonly #decisions = new Map<Relocation, Decision>();
  readonly #copies = new Set<Part>();
  readonly #references = new Map<string, Resolution>();
  readonly #unresolved = new Set<string>();
  readonly #namespaces = new Set<string>();
  /** The function that a cold part belongs to. */
  readonly #parents = new Map<Part, Part>();
  /** Pieces of `.altinstr_replacement`: exactly the bytes that an entry names. */
  readonly #pieces = new Map<string, Part>();
  readonly #printkIndex: PrintkIndex;

  constructor(pair: Pair, changes: Changes, ambiguous: ReadonlySet<Part>, symbols: KernelSymbols) {
    this.#pair = pair;
    this.#changes = changes;
    this.#ambiguous = ambiguous;
    this.#symbols = symbols;
    this.#printkIndex = new PrintkIndex(pair.patched, pair.entries[1]);
    for (const [parent, colds] of changes.coldParts) for (const cold of colds) this.#parents.set(cold, parent);
  }

  select(): Selection {
    const { patched } = this.#pair;
    for (const part of this.#changes.changed.keys()) this.#travel(part, 'it changed');
    for (const part of this.#changes.added) {
      // A new static function travels only where something that travels uses it.
      const thunk = patched.arch.isThunk?.(part.name) === true;
      if (part.phase === 'always' && part.symbol!.bind !== STB.LOCAL && !thunk) this.#travel(part, 'it is new');
    }
    for (const part of patched.parts) {
      if (part.class === 'kpatch') {
        if (isCallback(part)) this.#travel(part, 'the patch has it for kpatch');
      } else if (isNewGlobalData(part)) this.#travel(part, 'it is new');
    }
    for (let next = this.#queue.pop(); next !== undefined; next = this.#queue.pop()) this.#visit(next);
    this.#refuseUnknownTables();
    const position = new Map(patched.object.sections.map((section, index) => [section, index]));
    const parts = [...this.#reasons.keys()].sort(
      (a, b) => position.get(a.section)! - position.get(b.section)! || a.start - b.start || a.end - b.end,
    );
    this.#entries.sort((a, b) => position.get(a.section)! - position.get(b.section)! || a.start - b.start);
    return {
      parts,
      reasons: this.#reasons,
      entries: this.#entries,
      contents: this.#contents,
      decisions: this.#decisions,
      copies: this.#copies,
      references: this.#references,
      unresolved: [...this.#unresolved].sort(),
      namespaces: [...this.#namespaces].sort(),
    };
  }

  #travel(part: Part, reason: string): void {
    if (this.#reasons.has(part)) return;
    this.#reasons.set(part, reason);
    this.#queue.push(part);
  }

  #visit(part: Part): void {
    const { patched, entries, refusals, options } = this.#pair;
    for (const cold of this.#changes.coldParts.get(part) ?? []) this.#travel(cold, `it belongs to ${part.name}`);
    const code = codeOf(part);
    if (code.bound !== undefined) {
      const { name, section } = part;
      const where = { file: options.names.patched, section: section.name, function: name, offset: part.start };
      refusals.add('diff-code-bound', { name, section: section.name, reason: code.bound }, where, part);
    }
    this.#refer(part, code);
    for (const entry of this.#printkIndex.of(part)) this.#travel(entry, `it is the index of what ${part.name} prints`);
    for (const entry of entriesOf(entries[1], part)) this.#visitEntry(entry, part);
    if (this.#pair.patched.arch.siblingCallProblem !== undefined)
      this.#checkSiblingCalls(part, patched.arch.siblingCallProblem!);
  }

  #refer(part: Part, code: Code): void {
    const user = { part, section: part.section, entry: undefined, name: part.name };
    for (const relocation of code.relocations) this.#decide(relocation, user);
  }

  #visitEntry(entry: Entry, part: Part): void {
    const user = { part, section: entry.section, entry, name: `${entry.table.name} of ${part.name}` };
    const { key } = entry.table;
    if (key !== undefined && !keyWorks(this.#pair, this.#symbols, entry, part)) return;
    // objtool saw one object; another object of the patch may call the new function through a pointer.
    if (entry.table.seals === true && part.twin === undefined && part.symbol?.bind !== STB.LOCAL) return;
    this.#entries.push(entry);
    for (const relocation of entry.relocations) {
      const field = relocation.offset - entry.start;
      const inside = this.#inEntry(entry, relocation);
      if (inside !== undefined) this.#decisions.set(relocation, { to: 'entry', offset: inside });
      else if (field === entry.table.location) this.#decisions.set(relocation, { to: 'part', part });
      else if (field === entry.table.replacement?.field) this.#replacement(entry, relocation, user);
      else if (field === entry.table.replacement?.end)
        continue; // decided with the beginning
      else this.#decide(relocation, user);
    }
  }

  /** For a reference to the entry itself: where in it. */
  #inEntry({ section, start }: Entry, relocation: Relocation): number | undefined {
    const target = targetOf(this.#pair.patched, section, relocation);
    return target.kind === 'section' && target.section === section ? target.offset - start : undefined;
  }

  #replacement(entry: Entry, relocation: Relocation, user: User): void {
    const target = targetOf(this.#pair.patched, entry.section, relocation);
    if (target.kind !== 'part' || target.part.class !== 'fragments') {
      this.#decide(relocation, user);
      return;
    }
    const start = target.part.start + target.offset;
    const { section } = target.part;
    const length = replacementLength(this.#pair.patched, entry, section, start);
    const key = `${section.name} ${start} ${length}`;
    let piece = this.#pieces.get(key);
    if (piece === undefined) {
      piece = { ...target.part, start, end: start + length, shared: true };
      this.#pieces.set(key, piece);
      this.#travel(piece, `${entry.table.name} refers to it`);
    }
    this.#decisions.set(relocation, { to: 'part', part: piece });
    const { end } = entry.table.replacement!;
    const last = entry.relocations.find(({ offset }) => end !== undefined && offset === entry.start + end);
    if (last !== undefined) this.#decisions.set(last, { to: 'part', part: piece });
  }

  #decide(relocation: Relocation, user: User): void {
    if (this.#decisions.has(relocation)) return;
    this.#decisions.set(relocation, this.#decision(relocation, user));
  }

  #decision(relocation: Relocation, user: User): Decision {
    const { patched } = this.#pair;
    const target = targetOf(patched, user.section, relocation);
    switch (target.kind) {
      case 'none':
        return { to: 'keep' };
      case 'content':
        return this.#content(target);
      case 'external':
        return this.#external(target.symbol, relocation.addend, user);
      case 'section':
        this.#refuseSection(target.section, user);
        return { to: 'keep' };
      case 'part':
        return this.#toPart(target, relocation, user);
    }
  }

  #content({ section, at }: Target & { kind: 'content' }): Decision {
    const list = this.#contents.get(section);
    if (list === undefined) this.#contents.set(section, new Set([at]));
    else list.add(at);
    return { to: 'content', section, at };
  }

  /** A symbol of another object file. */
  #external(symbol: ElfSymbol, addend: number, user: User): Decision {
    const { name } = symbol;
    if (symbol.section === 'abs') return { to: 'keep' };
    if (this.#pair.patched.arch.isLinkerSymbol?.(name) === true) return { to: 'ordinary', symbol, name, addend };
    const lookup = this.#symbols.find({ name, kind: undefined, local: false, file: '' });
    if (lookup.found === undefined) {
      if (lookup.count > 0) this.#missing(name, lookup, user);
      else if (symbol.bind !== STB.WEAK) this.#unresolved.add(name);
      return { to: 'ordinary', symbol, name, addend };
    }
    return this.#kernel(lookup.found, symbol, addend, user);
  }

  #kernel(resolution: Resolution, symbol: ElfSymbol, addend: number, user: User): Decision {
    const { name, object, sympos, ordinary } = resolution;
    this.#references.set(`${object} ${name} ${sympos}`, resolution);
    if (!ordinary) {
      this.#checkLate(resolution, user);
      return { to: 'livepatch', resolution, symbol, addend };
    }
    const namespace = this.#pair.options.exported(name)?.namespace;
    if (namespace !== undefined && namespace !== '') this.#namespaces.add(namespace);
    return { to: 'ordinary', symbol, name, addend };
  }

  /**
   * Livepatch relocations for a module are applied when the patch is enabled, long after the loader has used the tables of
   * alternatives, jump labels and their like (Documentation/livepatch/module-elf-format.rst, since 5.8).
   */
  #checkLate({ name, object }: Resolution, user: User): void {
    const { options, refusals } = this.#pair;
    if (options.object === 'vmlinux') return;
    const table = user.entry !== undefined || user.section.name === '.altinstr_replacement';
    if (!table || user.entry?.table.key !== undefined) return;
    const where = { file: options.names.patched, section: user.section.name, offset: user.entry?.start ?? 0 };
    refusals.add('diff-table-late', { user: user.name, name, object }, where, user.part);
  }

  #toPart(target: Target & { kind: 'part' }, relocation: Relocation, user: User): Decision {
    const { part } = target;
    const inside: Decision = { to: 'part', part };
    if (isCopyable(part) || part.class === 'kpatch') return this.#along(part, user);
    if (part.class === 'unknown' || part.class === 'registry') {
      this.#refuseSection(part.section, user);
      return inside;
    }
    if (part.phase !== 'always' && user.part.phase === 'always') {
      this.#refuseInit(part, user);
      return inside;
    }
    if (!isFunction(part)) this.#refuseEnd(target, relocation, user);
    if (this.#changes.tables.has(part)) return this.#along(part, user);
    if (part.twin === undefined) {
      if (this.#ambiguous.has(part)) this.#refuseAmbiguous(part, user);
      return this.#along(part, user);
    }
    if (!isFunction(part)) {
      return this.#pointsInto(part) ? this.#along(part, user) : this.#staying(part, relocation, user);
    }
    const changed = this.#changes.changed.has(part) || this.#reasons.has(part) || this.#isColdOfChanged(part);
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

  /** Thunks come with each object; what a call reaches only within the module travels as a copy. */
  #mustBeNear(part: Part, use: Use, relocation: Relocation, user: User): boolean {
    const { patched, notes } = this.#pair;
    if (patched.arch.isThunk?.(part.name) === true) return true;
    if (use !== 'call') return false;
    const reason = patched.arch.nearCall?.(user.section.data, relocation.offset);
    if (reason === undefined) return false;
    this.#copies.add(part);
    notes.push(`${part.name} travels as a copy, unchanged, since ${user.name} calls it and ${reason}`);
    return true;
  }

  /**
   * True for a constant table of labels of a function that travels (computed goto): the kernel's table has the places of the
   * old version.
   */
  #pointsInto(table: Part): boolean {
    if (table.class !== 'read-only' || table.symbol?.bind !== STB.LOCAL) return false;
    const { model } = table;
    return model.relocationsOfPart(table).some((relocation) => {
      const target = targetOf(model, table.section, relocation);
      if (target.kind !== 'part' || !isFunction(target.part)) return false;
      const travels = this.#changes.changed.has(target.part) || this.#reasons.has(target.part);
      return travels && target.part.start + target.offset !== entryOf(target.part);
    });
  }

  #isColdOfChanged(part: Part): boolean {
    const parent = this.#parents.get(part);
    return parent !== undefined && this.#changes.changed.has(parent);
  }

  #along(part: Part, user: User): Decision {
    this.#travel(part, `${user.name} refers to it`);
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
    if (isFunction(part)) this.#checkSeal(part, relocation, user);
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

  #refuseAmbiguous(part: Part, user: User): void {
    const where = {
      file: this.#pair.options.names.patched,
      section: part.section.name,
      symbol: part.name,
      offset: part.start,
    };
    this.#pair.refusals.add('diff-local-ambiguous', { user: user.name, name: part.name }, where, user.part);
  }

  /**
   * The assembler tells places in a section that several variables share by their distance from its beginning: the end of an
   * array is then the same as the beginning of what follows it. Refuses where the running kernel has something else there.
   */
  #refuseEnd({ part, offset }: Target & { kind: 'part' }, { symbol }: Relocation, user: User): void {
    if (!part.shared || offset !== 0 || symbol?.type !== STT.SECTION) return;
    const before = part.model
      .partsOf(part.section)
      .find(({ start, end }) => end === part.start && end - start > LARGEST_SCALAR);
    if (before?.symbol === undefined) return;
    const [left, right] = [before.twin, part.twin];
    if (left !== undefined && right !== undefined && left.section === right.section && left.end === right.start) return;
    // Nobody takes the end of an array alone.
    if (!this.#usesBoth(user.part, before)) return;
    const { refusals, options } = this.#pair;
    const { name, section, start } = part;
    const where = { file: options.names.patched, section: section.name, symbol: name, offset: start };
    const params = { user: user.name, before: before.name, name, section: section.name };
    refusals.add('diff-reference-ambiguous', params, where, user.part);
  }

  /** True where code that travels refers to `other` too; for an entry of a list of addresses, the code that uses that entry. */
  #usesBoth(user: Part, other: Part): boolean {
    const functions = isFunction(user) ? [user] : [...this.#reasons.keys()].filter(isFunction);
    return functions.some((one) => {
      const used = new Set([...usesOf(one)].map(({ target }) => target));
      return used.has(other) && (one === user || used.has(user));
    });
  }

  #refuseInit(part: Part, user: User): void {
    const { options, refusals } = this.#pair;
    const where = { file: options.names.patched, section: part.section.name, symbol: part.name, offset: part.start };
    const { object } = options;
    refusals.add(
      'diff-refers-init',
      { user: user.name, name: part.name, section: part.section.name, object },
      where,
      user.part,
    );
  }

  #refuseSection(section: Section, user: User): void {
    const { options, refusals } = this.#pair;
    const where = { file: options.names.patched, section: section.name, offset: 0 };
    refusals.add('diff-section-unknown', { section: section.name, how: `${user.name} refers to it` }, where);
  }

  /** Unknown loaded sections that refer to what travels: their entries may belong to it. */
  #refuseUnknownTables(): void {
    const { patched } = this.#pair;
    for (const part of patched.parts) {
      if (part.class !== 'unknown') continue;
      for (const relocation of patched.relocationsOfPart(part)) {
        const target = targetOf(patched, part.section, relocation);
        if (target.kind !== 'part' || !isFunction(target.part) || !this.#reasons.has(target.part)) continue;
        const where = { file: this.#pair.options.names.patched, section: part.section.name, offset: relocation.offset };
        const how = `it refers to ${describeTarget(target)}`;
        this.#pair.refusals.add('diff-section-unknown', { section: part.section.name, how }, where);
      }
    }
  }

  /** New code must not call indirectly what the kernel has sealed at start (CONFIG_X86_KERNEL_IBT). */
  #checkSeal(part: Part, relocation: Relocation, user: User): void {
    if (useOf(this.#pair.patched, user.section, relocation) !== 'address') return;
    if (this.#pair.entries[0].get(part.twin!)?.some(({ table }) => table.seals === true) !== true) return;
    const where = { file: this.#pair.options.names.patched, section: user.section.name, offset: relocation.offset };
    this.#pair.refusals.add('diff-sealed', { user: user.name, name: part.name }, where, user.part);
  }

  #checkSiblingCalls(part: Part, problem: string): void {
    const { patched, refusals, options } = this.#pair;
    if (!isFunction(part) || part.twin === undefined) return;
    for (const relocation of patched.relocationsOfPart(part)) {
      if (useOf(patched, part.section, relocation) !== 'jump') continue;
      const target = targetOf(patched, part.section, relocation);
      if (target.kind === 'part' && familyOf(target.part.name) === familyOf(part.name)) continue;
      const where = { file: options.names.patched, section: part.section.name, offset: relocation.offset };
      refusals.add('diff-unpatchable', { name: part.name, reason: problem }, where);
      return;
    }
  }
}

/** Entries of a part; of a piece of a part, those that lie in it. */
function entriesOf(entries: ReadonlyMap<Part, readonly Entry[]>, part: Part): readonly Entry[] {
  const own = entries.get(part);
  if (own !== undefined || part.class !== 'fragments') return own ?? [];
  const home = part.model.partAt(part.section, part.start);
  if (home === undefined) return [];
  return (entries.get(home) ?? []).filter(({ offset }) => {
    const at = home.start + offset;
    return at >= part.start && at < part.end;
  });
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

/** New global variables may be used by other objects of the patch. */
function isNewGlobalData(part: Part): boolean {
  if (part.twin !== undefined || part.phase !== 'always' || part.symbol === undefined) return false;
  if (part.class !== 'writable' && part.class !== 'read-only') return false;
  return part.symbol.bind !== STB.LOCAL && definedIn(part.symbol) !== undefined;
}

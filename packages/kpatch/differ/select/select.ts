/**
 * What must be included in the module: the changed and new functions, and from there all they refer to that the running
 * kernel does not have. Each reference is decided once (`references.ts`).
 */
import { STB } from '../../formats/elf/constants.ts';
import { definedIn, type Relocation, type Section } from '../../formats/elf/object.ts';
import { isCallback } from '../compare/author.ts';
import type { Changes } from '../compare/changes.ts';
import { PrintkIndex } from '../compare/printk-index.ts';
import { type Code, codeOf } from '../parts/code.ts';
import type { Pair } from '../parts/pair.ts';
import { isFunction, type Part } from '../parts/part.ts';
import { familyOf } from '../parts/symbols/names.ts';
import type { Resolution, TargetSymbols } from '../parts/symbols/symbols.ts';
import { type Entry, replacementLength } from '../parts/tables/tables.ts';
import { describeTarget, targetOf, useOf } from '../parts/target.ts';
import { keyWorks } from './keys.ts';
import type { User } from './reference-limits.ts';
import { type Decision, References } from './references.ts';

export interface Selection {
  /** In the order of the patched object. */
  readonly parts: readonly Part[];
  /** Why each part is included. */
  readonly reasons: ReadonlyMap<Part, string>;
  readonly entries: readonly Entry[];
  /** Strings and constants by their sections: where each begins. */
  readonly contents: ReadonlyMap<Section, ReadonlySet<number>>;
  readonly decisions: ReadonlyMap<Relocation, Decision>;
  /** Functions that are included unchanged, beside the original. */
  readonly copies: ReadonlySet<Part>;
  readonly references: ReadonlyMap<string, Resolution>;
  readonly unresolved: readonly string[];
  readonly namespaces: readonly string[];
}

export class Selector {
  readonly #pair: Pair;
  readonly #changes: Changes;
  readonly #symbols: TargetSymbols;
  readonly #reasons = new Map<Part, string>();
  readonly #queue: Part[] = [];
  readonly #entries: Entry[] = [];
  readonly #contents = new Map<Section, Set<number>>();
  readonly #decisions = new Map<Relocation, Decision>();
  /** Pieces of `.altinstr_replacement`: exactly the bytes that an entry names. */
  readonly #pieces = new Map<string, Part>();
  readonly #printkIndex: PrintkIndex;
  readonly #references: References;

  constructor(pair: Pair, changes: Changes, ambiguous: ReadonlySet<Part>, symbols: TargetSymbols) {
    this.#pair = pair;
    this.#changes = changes;
    this.#symbols = symbols;
    const travels = {
      parts: this.#reasons,
      take: (part: Part, reason: string) => this.#travel(part, reason),
      takeContent: (section: Section, at: number) => this.#takeContent(section, at),
    };
    this.#references = new References(pair, changes, ambiguous, symbols, travels);
    this.#printkIndex = new PrintkIndex(pair.patched, pair.entries[1]);
  }

  select(): Selection {
    const { patched } = this.#pair;
    for (const part of this.#changes.changed.keys()) this.#travel(part, 'it changed');
    for (const part of this.#changes.added) {
      // A new static function is included only where something that is included uses it.
      const thunk = patched.arch.isThunk?.(part.name) === true;
      if (part.phase === 'always' && part.symbol!.bind !== STB.LOCAL && !thunk) this.#travel(part, 'it is new');
    }
    for (const part of patched.parts) {
      if (part.class === 'kpatch') {
        if (isCallback(part)) this.#travel(part, 'it is a callback');
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
      copies: this.#references.copies,
      references: this.#references.resolutions,
      unresolved: [...this.#references.unresolved].sort(),
      namespaces: [...this.#references.namespaces].sort(),
    };
  }

  #travel(part: Part, reason: string): void {
    if (this.#reasons.has(part)) return;
    this.#reasons.set(part, reason);
    this.#queue.push(part);
  }

  #takeContent(section: Section, at: number): void {
    const list = this.#contents.get(section);
    if (list === undefined) this.#contents.set(section, new Set([at]));
    else list.add(at);
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
    this.#decisions.set(relocation, this.#references.decide(relocation, user));
  }

  /** Unknown loaded sections that refer to what is included: their entries may belong to it. */
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

  /** A jump out of the function is safe where it stays in the module, or where it belongs to the function itself. */
  #checkSiblingCalls(part: Part, problem: string): void {
    const { patched, refusals, options } = this.#pair;
    if (!isFunction(part)) return;
    for (const relocation of codeOf(part).relocations) {
      if (useOf(patched, part.section, relocation) !== 'jump') continue;
      const target = targetOf(patched, part.section, relocation);
      if (target.kind === 'part' && familyOf(target.part.name) === familyOf(part.name)) continue;
      if (this.#decisions.get(relocation)?.to === 'part') continue;
      const where = { file: options.names.patched, section: part.section.name, offset: relocation.offset };
      refusals.add('diff-unpatchable', { name: part.name, reason: problem }, where, part);
      return;
    }
  }
}

/** Entries of a part; of a piece of a part, those that are in it. */
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

/** New global variables may be used by other objects of the patch. */
function isNewGlobalData(part: Part): boolean {
  if (part.twin !== undefined || part.phase !== 'always' || part.symbol === undefined) return false;
  if (part.class !== 'writable' && part.class !== 'read-only') return false;
  return part.symbol.bind !== STB.LOCAL && definedIn(part.symbol) !== undefined;
}

/** What changed between two correlated objects: functions with reasons, data, lists, and what makes a change impossible. */
import { STB } from '../elf/constants.ts';
import { type AuthorWishes, readWishes } from './author.ts';
import type { Comparison } from './compare.ts';
import { isCopyable, usesOf } from './correlate.ts';
import { parentOf } from './names.ts';
import type { DiffOptions, Reason } from './options.ts';
import { entryOf, isFunction, type Model, type Part } from './part.ts';
import type { Refusals } from './refusals.ts';
import { storageOf, unpatchableReason } from './section-class.ts';
import type { Entries } from './tables.ts';
import { targetOf, useOf } from './target.ts';

export interface Changes {
  /** Patched versions of the functions that changed, with reasons; cold parts are not listed, but their parents. */
  readonly changed: ReadonlyMap<Part, readonly Reason[]>;
  /** Functions that only the patched object has, but cold parts. */
  readonly added: readonly Part[];
  /** Read-only tables that changed and travel with the functions that use them. */
  readonly tables: ReadonlySet<Part>;
  /** Cold parts of a function that travel with it. */
  readonly coldParts: ReadonlyMap<Part, readonly Part[]>;
}

export interface Pair {
  readonly original: Model;
  readonly patched: Model;
  readonly entries: readonly [Entries, Entries];
  readonly options: DiffOptions;
  readonly refusals: Refusals;
  readonly notes: string[];
}

export function findChanges(pair: Pair, comparison: Comparison): Changes {
  const { original, patched } = pair;
  const { changed, added, data } = compareAll(pair, comparison);
  const tables = dataChanges(pair, changed, data);
  const coldParts = joinColdParts(pair, changed, added);
  unlisted(pair, original, patched);
  const result = { changed, added: added.filter((part) => !isCold(part)), tables, coldParts };
  dropInit(pair, result.changed);
  refuseUnpatchable(pair, result.changed);
  refuseRemoved(pair);
  refuseMovedNames(pair);
  return result;
}

interface Differences {
  readonly changed: Map<Part, Reason[]>;
  readonly added: Part[];
  readonly data: { part: Part; reason: Reason }[];
}

/**
 * Compares all pairs. A changed static function that ftrace cannot redirect (`inline` of the kernel implies notrace) can
 * still be replaced where it is only ever called: it travels as a new function, and its callers change to call that one.
 */
function compareAll(pair: Pair, comparison: Comparison): Differences {
  const wishes = readWishes(pair.patched);
  const { ignoredFunctions } = wishes;
  for (const name of wishes.forced) {
    pair.notes.push(`KPATCH_FORCE_UNSAFE(${name}) has no effect: the kernel switches each task when that is safe`);
  }
  for (;;) {
    const differences = compareOnce(pair, comparison, wishes);
    const carried = [...differences.changed.keys()].filter((part) => canBeCarried(pair, part));
    if (carried.length === 0) {
      for (const part of ignoredFunctions) pair.notes.push(`a change of ${part.name} is left out, as the patch asks`);
      return differences;
    }
    for (const part of carried) {
      part.twin!.twin = undefined;
      part.twin = undefined;
      pair.notes.push(
        `${part.name} has no place where ftrace could redirect it; its new version travels with the functions that call it`,
      );
    }
    comparison.forget();
  }
}

function compareOnce(pair: Pair, comparison: Comparison, wishes: AuthorWishes): Differences {
  const changed = new Map<Part, Reason[]>();
  const added: Part[] = [];
  const data: { part: Part; reason: Reason }[] = [];
  for (const part of pair.patched.parts) {
    if (isCopyable(part) || part.class === 'kpatch' || wishes.ignoredFunctions.has(part)) continue;
    if (wishes.ignoredSections.has(part.section.name)) continue;
    if (part.twin === undefined) {
      if (isFunction(part)) added.push(part);
      continue;
    }
    const wish = wishes.includedFunctions.has(part) ? { text: 'the patch asks for it' } : undefined;
    const reason = comparison.difference(part.twin, part) ?? wish;
    if (becomesReadOnly(part)) {
      pair.notes.push(`${part.name} stays writable in the running kernel, although it is read-only after init now`);
    }
    if (reason === undefined) continue;
    if (isFunction(part)) note(changed, part, reason);
    else data.push({ part, reason });
  }
  return { changed, added, data };
}

function becomesReadOnly({ section, twin }: Part): boolean {
  return storageOf(section.name) === 'read-only after init' && storageOf(twin!.section.name) === 'ordinary';
}

/** True for a static function in ordinary text without an ftrace entry of which nothing takes the address. */
function canBeCarried(pair: Pair, part: Part): boolean {
  const twin = part.twin!;
  if (part.phase !== 'always' || parentOf(part.name) !== undefined) return false;
  if (unpatchableReason(twin.section.name) !== undefined || isTraceable(twin, pair.entries[0])) return false;
  if (part.symbol?.bind !== STB.LOCAL || twin.symbol?.bind !== STB.LOCAL) return false;
  return !hasAddressTaken(part) && !hasAddressTaken(twin);
}

/** True where anything but a call or jump refers to the function's entry. */
function hasAddressTaken(part: Part): boolean {
  const { model } = part;
  for (const user of model.parts) {
    for (const relocation of model.relocationsOfPart(user)) {
      const target = targetOf(model, user.section, relocation);
      if (target.kind !== 'part' || target.part !== part || user === part) continue;
      if (useOf(model, user.section, relocation) === 'address') return true;
    }
  }
  return false;
}

function note(changed: Map<Part, Reason[]>, part: Part, reason: Reason): void {
  const list = changed.get(part);
  if (list === undefined) changed.set(part, [reason]);
  else list.push(reason);
}

const isCold = (part: Part): boolean => parentOf(part.name) !== undefined;

/** A function and its cold part are one: a change of either, or a cold part that comes or goes, changes the function. */
function joinColdParts(pair: Pair, changed: Map<Part, Reason[]>, added: readonly Part[]): Map<Part, Part[]> {
  const { original, patched } = pair;
  const coldParts = new Map<Part, Part[]>();
  const isNew = new Set(added);
  const functions = new Map(patched.parts.filter(isFunction).map((part) => [part.name, part]));
  for (const part of patched.parts) {
    const name = isFunction(part) ? parentOf(part.name) : undefined;
    const parent = name === undefined ? undefined : functions.get(name);
    if (parent === undefined) continue;
    const list = coldParts.get(parent);
    if (list === undefined) coldParts.set(parent, [part]);
    else list.push(part);
    if (isNew.has(parent)) continue;
    if (isNew.has(part)) note(changed, parent, { text: `its cold part ${part.name} is new` });
    const reasons = changed.get(part);
    if (reasons !== undefined) {
      changed.delete(part);
      for (const reason of reasons) note(changed, parent, { text: `in its cold part ${reason.text}` });
    }
  }
  const originals = new Map(original.parts.filter(isFunction).map((part) => [part.name, part]));
  for (const part of originals.values()) {
    const name = parentOf(part.name);
    if (name === undefined || part.twin !== undefined) continue;
    const parent = originals.get(name)?.twin;
    if (parent !== undefined && !changed.has(parent))
      note(changed, parent, { text: `its cold part ${part.name} is gone` });
  }
  return coldParts;
}

/** Sorts what changed beside functions: left out, refused, or tables that can travel. */
function dataChanges(
  pair: Pair,
  changed: Map<Part, Reason[]>,
  data: readonly { part: Part; reason: Reason }[],
): Set<Part> {
  const tables = new Set<Part>();
  if (data.length === 0) return tables;
  const users = new Users(pair);
  for (const { part, reason } of data) {
    const where = {
      file: pair.options.names.patched,
      section: part.section.name,
      symbol: part.name,
      offset: part.start,
    };
    if (part.phase !== 'always') leaveOut(pair, part);
    else if (part.class === 'registry') {
      pair.refusals.add('diff-list-changed', { section: part.section.name, how: reason.text }, where);
    } else if (part.class === 'unknown') {
      const { name } = part.section;
      pair.refusals.add('diff-section-unknown', { section: name, how: `it changed: ${reason.text}` }, where);
    } else if (part.class === 'text') {
      pair.refusals.add('diff-code-unnamed', { section: part.section.name }, where);
    } else if (!travels(pair, users, changed, part, tables)) refuseData(pair, part, reason, where);
  }
  return tables;
}

function refuseData(pair: Pair, part: Part, reason: Reason, where: object): void {
  const twin = part.twin!;
  const [before, after] = [twin.end - twin.start, part.end - part.start];
  const moved = twin.class !== part.class || storageOf(twin.section.name) !== storageOf(part.section.name);
  const aligned = !twin.shared && !part.shared && part.section.addralign > twin.section.addralign;
  if (moved || (aligned && before === after)) {
    pair.refusals.add('diff-data-moved', { name: part.name, how: reason.text }, where);
  } else if (before !== after) pair.refusals.add('diff-data-size', { name: part.name, before, after }, where);
  else pair.refusals.add('diff-data-changed', { name: part.name }, where);
}

/** Which parts refer to a part, in either object. Built only when data changed. */
class Users {
  readonly #users = new Map<Part, Set<Part>>();

  constructor(pair: Pair) {
    for (const model of [pair.original, pair.patched]) {
      for (const part of model.parts) {
        if (part.symbol === undefined && part.class === 'read-only') continue; // stands for its users
        for (const { target } of usesOf(part)) if (target !== part) this.#add(target, part);
      }
    }
    for (const entries of pair.entries) {
      for (const [part, list] of entries) {
        for (const { section, relocations } of list) {
          for (const relocation of relocations) {
            const target = targetOf(part.model, section, relocation);
            if (target.kind === 'part' && target.part !== part) this.#add(target.part, part);
          }
        }
      }
    }
  }

  #add(part: Part, user: Part): void {
    const list = this.#users.get(part);
    if (list === undefined) this.#users.set(part, new Set([user]));
    else list.add(user);
  }

  of(part: Part): readonly Part[] {
    return [...(this.#users.get(part) ?? [])];
  }
}

/**
 * A static table of constants can travel with the functions that use it, if nothing else does: then no code sees the old
 * one beside the new one. It must hold plain values and strings only: a table of functions (operations) is also told by
 * its address, which would be another one.
 */
function travels(pair: Pair, users: Users, changed: Map<Part, Reason[]>, part: Part, tables: Set<Part>): boolean {
  const twin = part.twin!;
  if (part.class !== 'read-only' || twin.class !== 'read-only') return false;
  if (part.symbol?.bind !== STB.LOCAL || twin.symbol?.bind !== STB.LOCAL) return false;
  const plain = [twin, part].every((table) => {
    const owners = users.of(table);
    return table.model.relocationsOfPart(table).every((relocation) => {
      const target = targetOf(table.model, table.section, relocation);
      if (target.kind === 'content') return true;
      if (target.kind !== 'part') return false;
      // Labels of the one function that uses the table (computed goto) are no pointers that anybody else sees.
      const label = isInner(target.part, target.offset) && owners.length === 1 && owners[0] === target.part;
      return isCopyable(target.part) || label;
    });
  });
  if (!plain) return false;
  const now = users.of(part);
  const functions = now.filter((user) => isFunction(user) && user.phase === 'always');
  if (functions.length !== now.length || now.length === 0) return false;
  for (const user of users.of(twin)) if (!isFunction(user) || user.phase !== 'always') return false;
  for (const user of functions) {
    if (user.twin !== undefined && !changed.has(user)) {
      note(changed, user, { text: `the table ${part.name} that it reads changed` });
    }
  }
  // A function that used the old table and is not among the users of the new one has changed by that.
  tables.add(part);
  pair.notes.push(`the read-only table ${part.name} changed; its new version travels with the functions that use it`);
  return true;
}

/** True for a place in a function that is not its entry. */
function isInner(part: Part, offset: number): boolean {
  return isFunction(part) && part.start + offset !== entryOf(part);
}

/**
 * Global names of functions that now stand for another function: an alias that was pointed elsewhere, or two functions that
 * became one. Only one of the names could be redirected without the other.
 */
function refuseMovedNames({ original, patched, options, refusals }: Pair): void {
  const homes = new Map<string, Part>();
  for (const part of original.parts) {
    if (!isFunction(part) || part.phase !== 'always') continue;
    for (const { name, bind } of part.symbols) if (bind !== STB.LOCAL) homes.set(name, part);
  }
  for (const part of patched.parts) {
    if (!isFunction(part) || part.phase !== 'always') continue;
    for (const { name, bind } of part.symbols) {
      const home = homes.get(name);
      if (bind === STB.LOCAL || home === undefined || home.twin === part) continue;
      if (original.arch.prefixOf(name) !== undefined) continue;
      const where = { file: options.names.patched, section: part.section.name, function: name, offset: part.start };
      refusals.add('diff-alias-moved', { name, before: home.name, after: part.name }, where);
    }
  }
}

/** Leaves a changed part of init or exit code out, or refuses where it can run again. */
function leaveOut(pair: Pair, part: Part): void {
  const { object, names, leaveOutInit } = pair.options;
  const { name, section, phase } = part;
  if (object === 'vmlinux' || leaveOutInit === true) {
    const why =
      object !== 'vmlinux'
        ? `it runs only when ${object} is loaded or removed`
        : phase === 'init'
          ? 'it has run and its memory is free'
          : 'code that ends something is not part of the kernel image';
    pair.notes.push(`the change of ${name} in ${section.name} is left out: ${why}`);
    return;
  }
  const where = { file: names.patched, section: section.name, symbol: name, offset: part.start };
  pair.refusals.add('diff-init-changed', { name, section: section.name, object }, where, part);
}

function dropInit(pair: Pair, changed: ReadonlyMap<Part, readonly Reason[]>): void {
  for (const part of [...changed.keys()]) {
    if (part.phase === 'always') continue;
    leaveOut(pair, part);
    (changed as Map<Part, readonly Reason[]>).delete(part);
  }
}

/** Functions that livepatch cannot reach. */
function refuseUnpatchable(pair: Pair, changed: ReadonlyMap<Part, readonly Reason[]>): void {
  for (const part of changed.keys()) {
    const { name, section } = part.twin!;
    const where = {
      file: pair.options.names.original,
      section: section.name,
      function: name,
      offset: part.twin!.start,
    };
    const reason = unpatchableReason(section.name);
    if (/^__(?:vdso|kernel)_/.test(name))
      pair.refusals.add('diff-vdso', { file: pair.options.names.original }, where, part);
    else if (reason !== undefined) pair.refusals.add('diff-unpatchable', { name, reason }, where, part);
    else if (!isTraceable(part.twin!, pair.entries[0])) pair.refusals.add('diff-no-trace', { name }, where, part);
  }
}

/** True where ftrace has a place at the function's entry, by the table of such places or by the call that stands there. */
export function isTraceable(part: Part, entries: Entries): boolean {
  const { trace } = part.model.arch;
  if (trace.isPlace?.(part.section.data, entryOf(part)) === true) return true;
  const entry = entryOf(part) - part.start + part.model.arch.localEntry(part.symbol?.other ?? 0);
  const near = (offset: number): boolean => offset >= entry - trace.before && offset <= entry + trace.after;
  if (entries.get(part)?.some(({ table, offset }) => table.trace === true && near(offset)) === true) return true;
  const calls = part.model.relocationsIn(part.section, part.start + entry, part.start + entry + trace.after + 8);
  return calls.some(({ symbol }) => symbol !== undefined && trace.callees.includes(symbol.name));
}

/** Lists and unknown sections that only one of the objects has. */
function unlisted(pair: Pair, original: Model, patched: Model): void {
  for (const [model, what] of [
    [original, 'is gone'],
    [patched, 'is new'],
  ] as const) {
    for (const part of model.parts) {
      if (part.twin !== undefined || part.class !== 'registry') continue;
      const { name } = part.section;
      if (part.phase !== 'always' && pair.options.object === 'vmlinux') {
        pair.notes.push(`the list ${name} ${what}; the kernel reads it only when it starts`);
      } else {
        const where = { file: model.object.file, section: name, offset: 0 };
        pair.refusals.add('diff-list-changed', { section: name, how: `it ${what}` }, where);
      }
    }
  }
}

/** Functions that are gone although somebody may have kept a pointer to them. */
function refuseRemoved(pair: Pair): void {
  const { original } = pair;
  const removed = new Set(
    original.parts.filter(
      (part) =>
        isFunction(part) && part.twin === undefined && part.phase === 'always' && parentOf(part.name) === undefined,
    ),
  );
  if (removed.size === 0) return;
  for (const user of original.parts) {
    if (user.phase === 'exit' || user.class === 'registry' || user.class === 'kpatch') continue;
    for (const relocation of original.relocationsOfPart(user)) {
      const target = targetOf(original, user.section, relocation);
      if (target.kind !== 'part' || !removed.has(target.part) || target.part === user) continue;
      if (useOf(original, user.section, relocation) !== 'address') continue;
      if (target.part.start + target.offset !== entryOf(target.part)) continue;
      const { name, section } = target.part;
      const where = {
        file: pair.options.names.original,
        section: section.name,
        function: name,
        offset: target.part.start,
      };
      pair.refusals.add('diff-removed-address', { name, user: user.name }, where, user, relocation.offset);
    }
  }
}

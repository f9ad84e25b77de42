/** Changes of data: left out, refused, or read-only tables that can be included with the functions that use them. */
import { STB, STT } from '../../formats/elf/constants.ts';
import type { Reason } from '../options.ts';
import { isCopyable } from '../parts/copyable.ts';
import { note, type Pair } from '../parts/pair.ts';
import { entryOf, isFunction, type Part } from '../parts/part.ts';
import { storageOf } from '../parts/section-class.ts';
import { targetOf } from '../parts/target.ts';
import { usesOf } from './correlate.ts';
import { leaveOutInit } from './left-out.ts';

/** Sorts what changed beside functions: left out, refused, or tables that can be included. */
export function dataChanges(
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
    if (part.phase !== 'always') leaveOutInit(pair, part);
    else if (part.class === 'registry' || part.class === 'ids') {
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

/** The name that the source gives: MODULE_DEVICE_TABLE adds a second one, by which modpost finds the table. */
function sourceName({ name, symbols }: Part): string {
  const own = symbols.find((symbol) => !/^__mod_\w+_device_table$/.test(symbol.name) && symbol.type === STT.OBJECT);
  return /^__mod_/.test(name) ? (own?.name ?? name) : name;
}

function refuseData(pair: Pair, part: Part, reason: Reason, where: object): void {
  const twin = part.twin!;
  const name = sourceName(part);
  const [before, after] = [twin.end - twin.start, part.end - part.start];
  const moved = twin.class !== part.class || storageOf(twin.section.name) !== storageOf(part.section.name);
  const aligned = !twin.shared && !part.shared && part.section.addralign > twin.section.addralign;
  if (moved || (aligned && before === after)) {
    pair.refusals.add('diff-data-moved', { name, how: reason.text }, where);
  } else if (before !== after) pair.refusals.add('diff-data-size', { name, before, after }, where);
  else pair.refusals.add('diff-data-changed', { name }, where);
}

/** Which parts refer to a part, in either object. Built only when data changed. */
class Users {
  readonly #users = new Map<Part, Set<Part>>();

  constructor(pair: Pair) {
    for (const model of [pair.original, pair.patched]) {
      for (const part of model.parts) {
        if (part.symbol === undefined && part.class === 'read-only') continue; // stands for its users
        for (const target of usesOf(part)) if (target !== part) this.#add(target, part);
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
 * A static table of constants can be included with the functions that use it, if nothing else does: then no code sees the
 * old one beside the new one. It must hold plain values and strings only: a table of functions (operations) is also told by
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
      // Labels of the one function that uses the table (computed goto) are not pointers that anybody else sees.
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
  pair.notes.push(`the read-only table ${part.name} changed; the functions that use it include the new version`);
  return true;
}

/** True for a place in a function that is not its entry. */
function isInner(part: Part, offset: number): boolean {
  return isFunction(part) && part.start + offset !== entryOf(part);
}

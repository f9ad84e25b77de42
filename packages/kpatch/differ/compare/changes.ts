/** Finds what changed between two correlated objects: functions with reasons, and what must be included with them. */
import { STB } from '../../formats/elf/constants.ts';
import type { Reason } from '../options.ts';
import { isCopyable } from '../parts/copyable.ts';
import { note, type Pair } from '../parts/pair.ts';
import { isFunction, type Model, type Part } from '../parts/part.ts';
import { unpatchableReason } from '../parts/section-class.ts';
import { parentOf } from '../parts/symbols/names.ts';
import { targetOf, useOf } from '../parts/target.ts';
import { type AuthorWishes, readWishes } from './author.ts';
import type { Comparison } from './compare.ts';
import { dataChanges } from './data-changes.ts';
import { dropInit, dropOverridden, findLeftOut } from './left-out.ts';
import { isTraceable, refuseLists, refuseMovedNames, refuseRemoved, refuseUnpatchable } from './limits.ts';
import { leaveOutPlaces } from './places.ts';

export interface Changes {
  /** Patched versions of the functions that changed, with reasons; cold parts are not listed, but their parents. */
  readonly changed: ReadonlyMap<Part, readonly Reason[]>;
  /** Functions that only the patched object has, but cold parts. */
  readonly added: readonly Part[];
  /** Read-only tables that changed and are included with the functions that use them. */
  readonly tables: ReadonlySet<Part>;
  /** Cold parts of a function that are included with it. */
  readonly coldParts: ReadonlyMap<Part, readonly Part[]>;
}

export function findChanges(pair: Pair, comparison: Comparison): Changes {
  const wishes = readWishes(pair.patched);
  const { changed, added, data } = compareAll(pair, comparison, wishes);
  const tables = dataChanges(pair, changed, data);
  const coldParts = joinColdParts(pair, changed, added);
  refuseLists(pair, wishes.ignoredSections);
  const result = { changed, added: added.filter((part) => !isCold(part)), tables, coldParts };
  dropInit(pair, result.changed);
  dropOverridden(pair, result.changed);
  refuseUnpatchable(pair, result.changed);
  refuseRemoved(pair);
  findLeftOut(pair, wishes.ignoredSections);
  leaveOutPlaces(pair);
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
 * still be replaced where it is only ever called: it is included as a new function, and its callers change to call that
 * one.
 */
function compareAll(pair: Pair, comparison: Comparison, wishes: AuthorWishes): Differences {
  const { ignoredFunctions } = wishes;
  for (const name of wishes.forced) {
    pair.notes.push(`KPATCH_FORCE_UNSAFE(${name}) has no effect: the kernel switches each task when it is safe`);
  }
  for (;;) {
    const differences = compareOnce(pair, comparison, wishes);
    const carried = [...differences.changed.keys()].filter((part) => canBeCarried(pair, part));
    if (carried.length === 0) {
      for (const part of ignoredFunctions)
        pair.notes.push(`ignoring the change of ${part.name}, as the patch requests`);
      return differences;
    }
    for (const part of carried) {
      part.twin!.twin = undefined;
      part.twin = undefined;
      pair.notes.push(
        `${part.name} cannot be redirected by ftrace; the functions that call it include the new version`,
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
    const wish = wishes.includedFunctions.has(part) ? { text: 'the patch requests it' } : undefined;
    const reason = comparison.difference(part.twin, part) ?? wish;
    if (reason === undefined) continue;
    if (isFunction(part)) note(changed, part, reason);
    else data.push({ part, reason });
  }
  return { changed, added, data };
}

/** True for a static function in ordinary text without an ftrace entry of which nothing takes the address. */
function canBeCarried(pair: Pair, part: Part): boolean {
  const twin = part.twin!;
  if (part.phase !== 'always' || parentOf(part.name) !== undefined) return false;
  if (unpatchableReason(twin.section.name) !== undefined || isTraceable(twin, pair.entries[0])) return false;
  if (part.symbol?.bind !== STB.LOCAL || twin.symbol?.bind !== STB.LOCAL) return false;
  return !hasAddressTaken(part) && !hasAddressTaken(twin);
}

/** True if anything but a call or jump refers to the function's entry. */
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

const isCold = (part: Part): boolean => parentOf(part.name) !== undefined;

/** Finds the function that a cold part was split from: the one of its file, where several have the name. */
function parentsOf(model: Model): (part: Part) => Part | undefined {
  let functions: Map<string, Part> | undefined;
  return (part) => {
    const name = isFunction(part) ? parentOf(part.name) : undefined;
    if (name === undefined) return undefined;
    functions ??= new Map(model.parts.filter(isFunction).map((one) => [`${one.file} ${one.name}`, one]));
    // Symbols of global functions are not below the name of a file.
    return functions.get(`${part.file} ${name}`) ?? functions.get(` ${name}`);
  };
}

/** A function and its cold part are one: a change of either, or a cold part that comes or goes, changes the function. */
function joinColdParts(pair: Pair, changed: Map<Part, Reason[]>, added: readonly Part[]): Map<Part, Part[]> {
  const { original, patched } = pair;
  const coldParts = new Map<Part, Part[]>();
  const isNew = new Set(added);
  const parentIn = parentsOf(patched);
  for (const part of patched.parts) {
    const parent = parentIn(part);
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
  const parentBefore = parentsOf(original);
  for (const part of original.parts) {
    if (part.twin !== undefined) continue;
    const parent = parentBefore(part)?.twin;
    if (parent !== undefined && !changed.has(parent))
      note(changed, parent, { text: `its cold part ${part.name} was removed` });
  }
  return coldParts;
}

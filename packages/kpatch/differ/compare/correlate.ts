import type { Relocation, Section } from '../../formats/elf/object.ts';
import { isCopyable } from '../parts/copyable.ts';
import type { Model, Part } from '../parts/part.ts';
import { baseName, familyOf, isNumbered } from '../parts/symbols/names.ts';
import type { Entries } from '../parts/tables/tables.ts';
import { relocationKind, targetOf } from '../parts/target.ts';

export interface Correlation {
  /** Variables of the patched object that may be one of several of the original. */
  readonly ambiguous: ReadonlySet<Part>;
}

/** Sets `twin` of all parts that have one. */
export function correlate(original: Model, patched: Model, entries: readonly [Entries, Entries]): Correlation {
  const files = fileCount(original) > 1 && fileCount(patched) > 1;
  const groups: Groups = { all: [], known: new Map() };
  collect(groups, original, 0, files);
  collect(groups, patched, 1, files);
  const variables: Group[] = [];
  for (const group of groups.all) {
    const [left, right] = group.parts;
    if (left.length === 0 || right.length === 0) continue;
    if (group.numbered && !group.functions) variables.push(group);
    else if (left.length === 1 && right.length === 1) pair(left[0]!, right[0]!);
    else pairFunctions(left, right);
  }
  const ambiguous = new Set<Part>();
  if (variables.length > 0) {
    const users = [usersOf(original, entries[0]), usersOf(patched, entries[1])] as const;
    for (const group of variables) pairVariables(group, users, ambiguous);
  }
  return { ambiguous };
}

interface Group {
  readonly functions: boolean;
  readonly numbered: boolean;
  readonly parts: readonly [Part[], Part[]];
}

/** Groups in the order in which they were met, and by kind and phase, then by name. */
interface Groups {
  readonly all: Group[];
  readonly known: Map<string, Map<string, Group>>;
}

function fileCount(model: Model): number {
  const files = new Set<string>();
  for (const { file } of model.parts) if (file !== '') files.add(file);
  return files.size;
}

function collect({ all, known }: Groups, model: Model, side: 0 | 1, files: boolean): void {
  for (const part of model.parts) {
    if (isCopyable(part)) continue;
    const functions = part.class === 'text';
    const named = part.symbol !== undefined;
    const name = baseName(named ? part.name : part.section.name);
    // What was of init is gone: a thing of its name that stays is another one.
    const kind = `${functions ? 'f' : 'd'} ${part.phase} ${files ? part.file : ''} ${named ? '' : 'section'}`;
    let byName = known.get(kind);
    if (byName === undefined) {
      byName = new Map();
      known.set(kind, byName);
    }
    let group = byName.get(name);
    if (group === undefined) {
      group = { functions, numbered: named && name !== part.name, parts: [[], []] };
      byName.set(name, group);
      all.push(group);
    }
    group.parts[side].push(part);
  }
}

function pair(left: Part, right: Part): void {
  left.twin = right;
  right.twin = left;
}

const free = (parts: readonly Part[]): Part[] => parts.filter(({ twin }) => twin === undefined);

/**
 * Functions (and unnamed pieces) of one base name: by equal shape, then by who calls them is not needed: the order does.
 */
function pairFunctions(left: readonly Part[], right: readonly Part[]): void {
  pairByShape(left, right);
  const [first, second] = [free(left), free(right)];
  if (first.length === second.length) {
    for (const [index, part] of first.entries()) pair(part, second[index]!);
    return;
  }
  // Some came or went: what kept its whole name is most likely the same; the rest counts as new, which is always safe.
  for (const part of first) {
    const same = second.find(({ name, twin }) => name === part.name && twin === undefined);
    if (same !== undefined) pair(part, same);
  }
}

function pairByShape(left: readonly Part[], right: readonly Part[]): void {
  const shapes = new Map<string, Part[]>();
  for (const part of right) {
    const shape = shapeOf(part);
    const list = shapes.get(shape);
    if (list === undefined) shapes.set(shape, [part]);
    else list.push(part);
  }
  for (const part of left) {
    const list = shapes.get(shapeOf(part));
    const same = list?.find(({ name, twin }) => twin === undefined && name === part.name);
    const other = same ?? list?.find(({ twin }) => twin === undefined);
    if (other !== undefined) pair(part, other);
  }
}

/** The content with names instead of references: equal for parts that are the same but for numbers. */
function shapeOf(part: Part): string {
  const { model, section, start, end } = part;
  const bytes = Buffer.from(section.data.subarray(start, end)).toString('latin1');
  const references = model.relocationsOfPart(part).map((relocation) => {
    const target = targetOf(model, section, relocation);
    const name =
      target.kind === 'part'
        ? `${baseName(target.part.name)}+${target.part.symbol === undefined ? target.offset : 0}`
        : target.kind === 'external'
          ? target.symbol.name
          : target.kind;
    return `${relocation.offset - start} ${relocation.type} ${name}`;
  });
  return `${end - start}\n${bytes}\n${references.join('\n')}`;
}

/**
 * A constant without a name that holds addresses (an entry of ppc64le's `.toc`, clang's tables): it stands for its user.
 */
function isBetween(part: Part): boolean {
  return part.symbol === undefined && part.class === 'read-only';
}

/** The parts that a part refers to; also through constants without a name. */
export function usesOf(part: Part): Part[] {
  const targets: Part[] = [];
  visitUses(part, undefined, (target) => targets.push(target));
  return targets;
}

/**
 * Calls `visit` for each part that a part refers to, with the place of the reference in it; also for those beyond constants
 * without a name. With `homes` only for parts in these sections.
 */
function visitUses(
  part: Part,
  homes: ReadonlySet<Section> | undefined,
  visit: (target: Part, at: number) => void,
  seen?: Set<Part>,
): void {
  const { model } = part;
  let known = seen;
  for (const relocation of model.relocationsOfPart(part)) {
    if (homes !== undefined && !isIn(homes, relocation)) {
      relocationKind(model, part.section, relocation);
      continue;
    }
    const target = targetOf(model, part.section, relocation);
    if (target.kind !== 'part') continue;
    const at = relocation.offset - part.start;
    visit(target.part, at);
    if (!isBetween(target.part) || known?.has(target.part) === true) continue;
    known ??= new Set();
    known.add(target.part);
    visitUses(target.part, homes, (beyond) => visit(beyond, at), known);
  }
}

function isIn(homes: ReadonlySet<Section>, { symbol }: Relocation): boolean {
  return typeof symbol?.section === 'object' && homes.has(symbol.section);
}

/** The function families (or data objects) that refer to each variable with a number, with the place of the first one. */
type Users = ReadonlyMap<Part, ReadonlyMap<string, number>>;

function usersOf(model: Model, entries: Entries): Users {
  const users = new Map<Part, Map<string, number>>();
  const numbered = new Set(model.parts.filter((part) => part.class !== 'text' && isNumbered(part.name)));
  const note = (target: Part, user: Part, at: number): void => {
    if (target === user || !numbered.has(target)) return;
    let list = users.get(target);
    if (list === undefined) {
      list = new Map();
      users.set(target, list);
    }
    const family = baseName(familyOf(user.name));
    if (!list.has(family)) list.set(family, at);
  };
  // Most references lead to code or to other objects; only those to sections with such parts need a closer look.
  const homes = new Set([...numbered].map(({ section }) => section));
  for (const part of model.parts) if (isBetween(part)) homes.add(part.section);
  for (const part of model.parts) {
    if (isBetween(part)) continue;
    visitUses(part, homes, (target, at) => note(target, part, at));
  }
  for (const [part, list] of entries) {
    for (const { section, relocations, offset } of list) {
      for (const relocation of relocations) {
        if (!isIn(homes, relocation)) continue;
        const target = targetOf(model, section, relocation);
        if (target.kind === 'part') note(target.part, part, offset);
      }
    }
  }
  return users;
}

/**
 * Static locals with the same name: those that share a user are the same; of several in one function each has its place.
 */
function pairVariables({ parts: [left, right] }: Group, users: readonly [Users, Users], ambiguous: Set<Part>): void {
  for (const part of left) {
    if (part.twin !== undefined) continue;
    const [lefts, rights] = component(part, left, right, users);
    if (rights.length === 0) continue;
    if (lefts.length === rights.length) {
      pairSameUsers(lefts, rights, users);
      pairByPlace(free(lefts), free(rights), users, ambiguous);
    } else if (!pairSameUsers(lefts, rights, users)) {
      for (const one of free(rights)) ambiguous.add(one);
    }
  }
}

/**
 * Pairs as many variables on both sides by where they are used first. For a function that is the same that is certain. In
 * one that changes, code may have changed places: only different content tells the variables apart then, and only where the
 * numbers, which count declarations, do not say otherwise.
 */
function pairByPlace(
  lefts: readonly Part[],
  rights: readonly Part[],
  users: readonly [Users, Users],
  ambiguous: Set<Part>,
): void {
  const [first, second] = [inOrderOfUse(lefts, users[0]), inOrderOfUse(rights, users[1])];
  for (const [index, one] of first.entries()) pair(one, second[index]!);
  const numbered = inOrder(rights);
  const shapes = rights.map(shapeOf);
  for (const [index, one] of inOrder(lefts).entries()) {
    const other = one.twin!;
    const shape = shapeOf(other);
    const alike = shapes.filter((known) => known === shape).length > 1;
    if (alike || other !== numbered[index]) ambiguous.add(other);
  }
}

function inOrderOfUse(parts: readonly Part[], users: Users): Part[] {
  const places = new Map(
    parts.map((part) => [part, [...(users.get(part) ?? [])].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))]),
  );
  return [...parts].sort((a, b) => {
    const [left, right] = [places.get(a)!, places.get(b)!];
    for (let index = 0; index < Math.min(left.length, right.length); index++) {
      const [[family, at], [other, place]] = [left[index]!, right[index]!];
      if (family !== other) return family < other ? -1 : 1;
      if (at !== place) return at - place;
    }
    return left.length - right.length;
  });
}

/** The parts of both sides that are connected with `part` by common users. */
function component(
  part: Part,
  left: readonly Part[],
  right: readonly Part[],
  [leftUsers, rightUsers]: readonly [Users, Users],
): [Part[], Part[]] {
  const lefts = new Set([part]);
  const rights = new Set<Part>();
  const share = (a: Part, b: Part): boolean => {
    for (const user of leftUsers.get(a)?.keys() ?? []) if (rightUsers.get(b)?.has(user)) return true;
    return false;
  };
  for (let grown = true; grown; ) {
    grown = false;
    for (const b of right) {
      if (!rights.has(b) && b.twin === undefined && [...lefts].some((a) => share(a, b))) {
        rights.add(b);
        grown = true;
      }
    }
    for (const a of left) {
      if (!lefts.has(a) && a.twin === undefined && [...rights].some((b) => share(a, b))) {
        lefts.add(a);
        grown = true;
      }
    }
  }
  return [[...lefts], [...rights]];
}

/** Pairs those with exactly the same users where that is one to one; true if all of the smaller side found theirs. */
function pairSameUsers(lefts: readonly Part[], rights: readonly Part[], [a, b]: readonly [Users, Users]): boolean {
  const key = (users: Users, part: Part): string => [...(users.get(part)?.keys() ?? [])].sort().join(' ');
  const keys = new Map<string, [Part[], Part[]]>();
  for (const part of lefts) {
    const list = keys.get(key(a, part)) ?? [[], []];
    list[0].push(part);
    keys.set(key(a, part), list);
  }
  for (const part of rights) {
    const list = keys.get(key(b, part)) ?? [[], []];
    list[1].push(part);
    keys.set(key(b, part), list);
  }
  for (const [first, second] of keys.values()) {
    if (first.length === 1 && second.length === 1) pair(first[0]!, second[0]!);
  }
  return free(lefts).length === 0 || free(rights).length === 0;
}

/** By the number in the name: the compiler counts up in the order of declaration. */
function inOrder(parts: readonly Part[]): Part[] {
  const number = ({ name }: Part): number => Number(/(\d+)$/.exec(name)?.[1] ?? 0);
  return [...parts].sort((x, y) => number(x) - number(y));
}

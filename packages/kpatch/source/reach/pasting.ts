/**
 * Names that are nowhere written whole: the preprocessor's `##` joins them from pieces. To say that a text does not mention
 * a name one must know the macros that could make it there. What is kept for each such macro is the set of its own pieces;
 * a text could make a name if the name can be cut into words of the text and pieces of the macros that the text mentions.
 */
import { join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import { keptDocument } from '../../documents/kept.ts';
import { closing, isName, type Macro, macrosOf, withoutComments, wordsOf } from './c-text.ts';
import type { TreeSearch } from './tree-search.ts';
import { JOIN } from './word-index.ts';

/** How many pieces a name is cut into at most. */
const CUTS = 3;
/** Wrappers of wrappers: the kernel has no deeper ones. */
const ROUNDS = 8;

/** What a text must have to make one of some names. */
export interface JoiningNeeds {
  /** Macros of which it must mention one, */
  readonly macros: ReadonlySet<string>;
  /** and words of which it must have one. */
  readonly hints: ReadonlySet<string>;
}

function longest(words: readonly string[]): string {
  return words.reduce((a, b) => (a.length >= b.length ? a : b));
}

/** What a macro does to words. */
interface Joiner {
  /** Its own words that take part in a join. */
  readonly pieces: Set<string>;
  /** Indices of the parameters whose words take part in one. */
  readonly joined: Set<number>;
  /** From this argument on all take part. */
  rest: number;
}

export class Pasting {
  readonly #macros: ReadonlyMap<string, ReadonlySet<string>>;
  /** Piece → the macros that have it. */
  readonly #owners = new Map<string, string[]>();
  /** Macros that join only what they are given: a text that mentions one, or `##` itself, must be read to judge it. */
  readonly anyJoiners: readonly string[];
  readonly #relevant = new WeakMap<readonly string[], Set<string>>();

  constructor(macros: ReadonlyMap<string, ReadonlySet<string>>) {
    this.#macros = macros;
    for (const [name, pieces] of macros) for (const piece of pieces) append(this.#owners, piece, name);
    this.anyJoiners = [...macros].filter(([, pieces]) => pieces.size === 0).map(([name]) => name);
  }

  /** What a text needs, where it has no `##` of its own and mentions none of `anyJoiners`. */
  recipe(names: readonly string[]): JoiningNeeds {
    const hints = new Set<string>();
    const macros = new Set<string>();
    for (const cut of names.flatMap(cuts)) {
      const missing = cut.filter((piece) => !this.#owners.has(piece));
      if (missing.length === cut.length) continue;
      const owners = cut.map((piece) => this.#owners.get(piece) ?? []);
      // Where macros have all pieces, the text need not have any: it mentions an owner of each.
      const needed =
        missing.length === 0 ? owners.reduce((a, b) => (a.length <= b.length ? a : b)) : [longest(missing)];
      for (const word of needed) hints.add(word);
      if (missing.length === 0) for (const piece of cut) hints.add(piece);
      for (const piece of cut) for (const owner of this.#owners.get(piece) ?? []) macros.add(owner);
    }
    return { hints, macros };
  }

  /** The words that can take part in making one of the names: their pieces, and the macros that have such pieces. */
  participants(names: readonly string[]): Set<string> {
    const relevant = this.#relevantTo(names);
    return new Set([...relevant, ...[...relevant].flatMap((piece) => this.#owners.get(piece) ?? [])]);
  }

  /** The first of the names that a text could make; `more` are words of other texts that count as its own. */
  makes(names: readonly string[], text: string, more: Iterable<string> = []): string | undefined {
    const relevant = this.#relevantTo(names);
    const words = new Set<string>();
    let able = text.includes(JOIN);
    const take = (word: string): void => {
      const pieces = this.#macros.get(word);
      if (pieces !== undefined) {
        able = true;
        for (const piece of pieces) if (relevant.has(piece)) words.add(piece);
      }
      if (relevant.has(word)) words.add(word);
    };
    for (const word of wordsOf(text)) take(word);
    for (const word of more) take(word);
    if (!able || words.size === 0) return undefined;
    return names.find((name) => cuts(name).some((cut) => cut.every((piece) => words.has(piece))));
  }

  #relevantTo(names: readonly string[]): ReadonlySet<string> {
    const known = this.#relevant.get(names) ?? new Set(names.flatMap(cuts).flat());
    this.#relevant.set(names, known);
    return known;
  }
}

const known = new Map<string, string[][]>();

/** Every way to cut a name into two or three pieces. */
function cuts(name: string): string[][] {
  const found = known.get(name) ?? cutAll(name, CUTS).filter((cut) => cut.length > 1);
  known.set(name, found);
  return found;
}

function cutAll(name: string, most: number): string[][] {
  const result = [[name]];
  if (most === 1) return result;
  for (let at = 1; at < name.length; at++) {
    for (const rest of cutAll(name.slice(at), most - 1)) result.push([name.slice(0, at), ...rest]);
  }
  return result;
}

/** Like `readPasting`, kept in `folder` between calls. */
export async function pasting(search: TreeSearch, folder: string): Promise<Pasting> {
  const file = join(folder, 'pasting-2.json');
  const known = keptDocument('kpatch.pasting', file);
  if (known !== undefined) return new Pasting(new Map(known.map(([name, pieces]) => [name, new Set(pieces)])));
  const macros = await readPasting(search);
  writeAtomically(file, JSON.stringify([...macros].map(([name, pieces]) => [name, [...pieces]])));
  return new Pasting(macros);
}

/** Finds the macros of all headers that join words, directly or through others, with their pieces. */
export async function readPasting(search: TreeSearch): Promise<Map<string, Set<string>>> {
  const pasters = new Map<string, Joiner>();
  const read = new Set<string>();
  /** Macros by the words of their bodies: those to look at again when a word turns out to be a joiner. */
  const users = new Map<string, Macro[]>();
  let fresh: string[] = [JOIN];
  for (let round = 0; fresh.length > 0 && round < ROUNDS; round++) {
    const news: Macro[] = [];
    for (const file of await search.containing(fresh)) {
      if (read.has(file)) continue;
      read.add(file);
      for (const macro of functionsIn(search.peek(file))) {
        news.push(macro);
        for (const word of new Set(macro.body)) append(users, word, macro);
      }
    }
    fresh = [];
    for (let macro = news.pop(); macro !== undefined; macro = news.pop()) {
      const isNew = !pasters.has(macro.name);
      if (!learn(macro, pasters)) continue;
      if (isNew) fresh.push(macro.name);
      news.push(...(users.get(macro.name) ?? []));
    }
  }
  return new Map([...pasters].map(([name, { pieces }]) => [name, pieces]));
}

/** Macros with parameters, and those that only stand for another one. */
function functionsIn(text: string): Macro[] {
  const macros: Macro[] = [];
  for (const [definition] of text.matchAll(
    /^[ \t]*#[ \t]*define[ \t]+\w+(?:\(|[ \t]+\w+[ \t]*$)(?:[^\n\\]|\\[\s\S])*/gm,
  )) {
    // Without a call, a join or another name alone in it (as the masks and shifts of registers) it can join nothing.
    if (/##|[A-Za-z_]\w*\s*\([\s\S]*[A-Za-z_]\w*\s*\(|^\s*#\s*define\s+\w+\s+\w+\s*$/.test(definition))
      macros.push(...macrosOf(withoutComments(definition)));
  }
  return macros;
}

function append<T>(map: Map<string, T[]>, word: string, value: T): void {
  const list = map.get(word);
  if (list === undefined) map.set(word, [value]);
  else list.push(value);
}

/** Adds what one macro does; true if that is news. */
function learn(macro: Macro, joiners: Map<string, Joiner>): boolean {
  const { name, parameters, body } = macro;
  const old = joiners.get(name);
  const own: Joiner = {
    pieces: new Set(old?.pieces),
    joined: new Set(old?.joined),
    rest: old?.rest ?? Number.MAX_SAFE_INTEGER,
  };
  const take = (word: string | undefined): boolean => {
    const index = word === undefined ? -1 : parameters.indexOf(word);
    if (index >= 0) own.joined.add(index);
    if (index >= macro.variadic) own.rest = Math.min(own.rest, macro.variadic);
    if (index < 0 && word !== undefined && /^\w+$/.test(word)) own.pieces.add(word);
    return index >= 0;
  };
  let joins = old !== undefined;
  body.forEach((word, index) => {
    // GNU's `, ##__VA_ARGS__` joins nothing: it only drops the comma.
    if (word === '##' && body[index - 1] !== ',') {
      joins = true;
      take(body[index - 1]);
      take(body[index + 1]);
    }
    if (word === name) return;
    const inner = joiners.get(word);
    const given = body[index + 1] === '(' ? argumentsIn(body, index + 1) : undefined;
    if (inner !== undefined && given === undefined) {
      if (parameters.length > 0) return;
      joins = true; // another name for it
      merge(own, inner, true);
    } else if (inner !== undefined && given !== undefined) {
      const taken = given.filter((_, at) => inner.joined.has(at) || at >= inner.rest).flat();
      if (!taken.some((part) => parameters.includes(part))) return; // what it makes is written in this very macro
      joins = true;
      for (const part of taken) take(part);
      merge(own, inner, false);
    } else if (given !== undefined && parameters.includes(word)) {
      // A macro that calls what it is given (a list of X(…)) hands its own words to any joiner.
      const words = given.flat().filter((part) => isName(part) && !parameters.includes(part));
      if (words.length === 0) return;
      joins = true;
      take(word);
      for (const part of words) take(part);
    }
  });
  if (!joins) return false;
  joiners.set(name, own);
  return (
    old === undefined || own.pieces.size > old.pieces.size || own.joined.size > old.joined.size || own.rest < old.rest
  );
}

function merge(own: Joiner, inner: Joiner, all: boolean): void {
  for (const piece of inner.pieces) own.pieces.add(piece);
  if (!all) return;
  for (const index of inner.joined) own.joined.add(index);
  own.rest = Math.min(own.rest, inner.rest);
}

/** The arguments of a call, each as its tokens; `at` is the opening parenthesis. */
function argumentsIn(tokens: readonly string[], at: number): string[][] {
  const given: string[][] = [[]];
  let depth = 0;
  for (const part of tokens.slice(at + 1, closing(tokens, at) - 1)) {
    if (part === '(' || part === '{' || part === '[') depth++;
    if (part === ')' || part === '}' || part === ']') depth--;
    if (part === ',' && depth === 0) given.push([]);
    else given.at(-1)!.push(part);
  }
  return given;
}

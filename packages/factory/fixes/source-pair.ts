/**
 * Fixes from two source packages of a distribution: the changes between them, grouped by what depends on what. A CVE is claimed
 * only if its changes can be distinguished from all others in its files; everything else is printed, and never counted.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Advisory, FixHunk } from 'kpatch/advisories';
import { hunksOf } from 'kpatch/advisories';
import { run } from 'kpatch/parts';

/** Hunks that must be applied together. */
export interface ChangeGroup {
  readonly id: number;
  readonly files: readonly string[];
  readonly hunks: readonly FixHunk[];
}

export interface Claim {
  readonly cve: string;
  readonly group: number;
  readonly text: string;
}

export interface PairedChanges {
  readonly groups: readonly ChangeGroup[];
  readonly claims: readonly Claim[];
  /** CVEs that cannot be attributed to one group, with the reason. */
  readonly unattributed: readonly { readonly cve: string; readonly reason: string }[];
}

const isCode = /\.[chS]$/;

/** The differences of two trees as one diff, with the paths of the trees. Error: an Error with the words of diff. */
export async function diffTrees(before: string, after: string): Promise<Buffer> {
  const args = ['-u', '-r', '-N', '--no-dereference', '-x', '.git', '-x', 'debian', before, after];
  const { status, stdout, stderr } = await run('diff', args, { env: { LC_ALL: 'C' }, timeoutMs: 1_800_000 });
  if (status > 1) throw new Error(stderr.trim());
  // Only text files of code: diff tells of binary files in lines of their own.
  const text = stdout.toString('latin1').replace(/^(?:Binary files|File) .*\n/gm, '');
  const paths = text.replace(/^(---|\+\+\+) (\S+)(\t.*)?$/gm, (line, sign: string, path: string) => {
    const [tree, letter] = sign === '---' ? [before, 'a'] : [after, 'b'];
    return path.startsWith(`${tree}/`) ? `${sign} ${letter}/${path.slice(tree.length + 1)}` : line;
  });
  return Buffer.from(paths, 'latin1');
}

/** The text of a file; undefined if the source has none. */
export type TextOf = (path: string) => string | undefined;

/**
 * Groups the hunks of a diff. Hunks of one function stay together. A hunk that brings a name goes with those that use it in a file that
 * lacked the name, one that takes a name away with those that remove it from a file, and one that changes a function with those whose
 * calls of it change. `before` and `after` are the two sources.
 */
export function groupChanges(
  diff: Buffer,
  before: TextOf = () => undefined,
  after: TextOf = () => undefined,
): ChangeGroup[] {
  const hunks = hunksOf(diff, 'the difference').filter(({ path }) => isCode.test(path));
  const sets = new Sets(hunks.length);
  const functions = new Map<string, number>();
  for (const [at, hunk] of hunks.entries()) {
    const place = functionOf(hunk);
    if (place === undefined) continue;
    const other = functions.get(place);
    if (other !== undefined) sets.unite(at, other);
    functions.set(place, at);
  }
  uniteUsers(hunks, wordsOf(before), wordsOf(after), sets);
  const groups = Map.groupBy(hunks.keys(), (at) => sets.find(at));
  return [...groups.values()].map((members, id) => {
    const own = [...members].map((at) => hunks[at]!);
    return { id, files: [...new Set(own.map(({ path }) => path))].sort(), hunks: own };
  });
}

/** Disjoint sets. */
class Sets {
  readonly #parent: number[];

  constructor(size: number) {
    this.#parent = Array.from({ length: size }, (_, at) => at);
  }

  find(at: number): number {
    let top = at;
    while (this.#parent[top] !== top) top = this.#parent[top]!;
    this.#parent[at] = top;
    return top;
  }

  unite(a: number, b: number): void {
    this.#parent[this.find(a)] = this.find(b);
  }
}

interface Sides {
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/** Where a definition is. */
interface Definer {
  readonly hunk: number;
  /** The only file that can use it. */
  readonly file: string | undefined;
  readonly isCalled: boolean;
}

type WordsOf = (path: string) => ReadonlySet<string>;

/** The names in a file, read once. */
function wordsOf(textOf: TextOf): WordsOf {
  const known = new Map<string, ReadonlySet<string>>();
  return (path) => {
    const words = known.get(path) ?? new Set(namesIn([textOf(path) ?? '']));
    known.set(path, words);
    return words;
  };
}

function uniteUsers(hunks: readonly FixHunk[], before: WordsOf, after: WordsOf, sets: Sets): void {
  const sides = hunks.map(sidesOf);
  const [brought, taken] = [new Map<string, Definer[]>(), new Map<string, Definer[]>()];
  const note = (into: Map<string, Definer[]>, hunk: number, names: readonly Defined[]): void => {
    const { path } = hunks[hunk]!;
    for (const { name, isLocal, isCalled } of names)
      into.set(name, [...(into.get(name) ?? []), { hunk, file: isLocal ? path : undefined, isCalled }]);
  };
  for (const [at, { added, removed }] of sides.entries()) {
    note(brought, at, definedIn(hunks[at]!.path, added));
    note(taken, at, definedIn(hunks[at]!.path, removed));
  }
  for (const [at, { added, removed }] of sides.entries()) {
    const { path } = hunks[at]!;
    const join = (name: string, definers: ReadonlyMap<string, readonly Definer[]>, called = false): void => {
      for (const { hunk, file, isCalled } of definers.get(name) ?? [])
        if ((file === undefined || file === path) && (isCalled || !called)) sets.unite(at, hunk);
    };
    const [fresh, gone] = [new Set(namesIn(added)), new Set(namesIn(removed))];
    for (const name of fresh) {
      if (!before(path).has(name)) join(name, brought);
      else if (gone.has(name) && brought.has(name) && taken.has(name)) join(name, taken, true);
    }
    for (const name of gone) if (!after(path).has(name) && !brought.has(name)) join(name, taken);
  }
}

const namesIn = (lines: readonly string[]): string[] => lines.flatMap((line) => line.match(/[A-Za-z_]\w{3,}/g) ?? []);

/** Lines that only one side has. */
function sidesOf({ before, after }: FixHunk): Sides {
  const [old, now] = [new Set(before), new Set(after)];
  return { added: after.filter((line) => !old.has(line)), removed: before.filter((line) => !now.has(line)) };
}

interface Defined {
  readonly name: string;
  /** Nothing outside the file can use it. */
  readonly isLocal: boolean;
  /** A function or a macro with arguments. */
  readonly isCalled: boolean;
}

/** Names that lines define: functions, macros, structures, and members of structures in headers. */
function definedIn(path: string, lines: readonly string[]): Defined[] {
  const isHeader = path.endsWith('.h');
  return lines.flatMap((line) => {
    const [, macro, parameters] = /^#\s*define\s+(\w+)(\()?/.exec(line) ?? [];
    const type = /^(?:typedef\s+)?(?:struct|union|enum)\s+(\w+)\s*\{/.exec(line)?.[1];
    // A type comes before the name: EXPORT_SYMBOL(name) defines nothing.
    const called = /^[A-Za-z_][\w\s*]*[\s*](\w+)\s*\(/.exec(line)?.[1];
    const isStatement = /^\s*(?:return|goto|else|case|break)\b/.test(line);
    const member =
      isHeader && !isStatement ? /^\t[\w\s*]+?[\s*](\w+)(?:\[[^\]]*\])?(?::\d+)?;/.exec(line)?.[1] : undefined;
    const isLocal = !isHeader && (called === undefined || line.startsWith('static '));
    const isCalled = called !== undefined || parameters !== undefined;
    return [macro, type, called, member]
      .filter((name) => name !== undefined && name.length > 3)
      .map((name) => ({ name: name!, isLocal, isCalled }));
  });
}

/** The function that the hunk begins in or shows the head of. */
function functionOf({ path, before }: FixHunk): string | undefined {
  for (const line of before) {
    const name = /^[A-Za-z_][\w\s*]*?\b(\w+)\s*\([^;]*$/.exec(line)?.[1];
    if (name !== undefined) return `${path} ${name}`;
  }
  return undefined;
}

/**
 * Attributes CVEs to groups: the files of its record must all be in one group, no other group may change them, and no other CVE
 * that the newer version fixed may name them.
 */
export function attribute(
  groups: readonly ChangeGroup[],
  fixed: readonly Advisory[],
): Pick<PairedChanges, 'claims' | 'unattributed'> {
  const byFile = new Map<string, Set<number>>();
  for (const { id, files } of groups)
    for (const file of files) byFile.set(file, (byFile.get(file) ?? new Set()).add(id));
  const claimants = new Map<string, string[]>();
  for (const { id, files } of fixed)
    for (const file of files) claimants.set(file, [...(claimants.get(file) ?? []), id]);
  const claims: Claim[] = [];
  const unattributed: { cve: string; reason: string }[] = [];
  for (const { id: cve, files } of fixed) {
    const code = files.filter((file) => isCode.test(file));
    const no = (reason: string): void => void unattributed.push({ cve, reason });
    if (code.length === 0) {
      no('its record names no file of code');
      continue;
    }
    const unchanged = code.find((file) => !byFile.has(file));
    if (unchanged !== undefined) {
      no(`${unchanged} is the same in both sources`);
      continue;
    }
    const shared = code.find((file) => (claimants.get(file) ?? []).length > 1);
    if (shared !== undefined) {
      const others = claimants.get(shared)!.filter((one) => one !== cve);
      no(`${shared} is also changed for ${others.slice(0, 3).join(', ')}`);
      continue;
    }
    const touching = new Set(code.flatMap((file) => [...byFile.get(file)!]));
    const [group] = touching;
    if (touching.size > 1)
      no(`${touching.size} independent changes are in its files, and nothing says which of them fix it`);
    else claims.push({ cve, group: group!, text: `the only change of ${code.join(', ')} between the two sources` });
  }
  return { claims, unattributed };
}

/** Reads the files of a source. */
export function textOf(tree: string): TextOf {
  return (path) => {
    try {
      return readFileSync(join(tree, path), 'latin1');
    } catch {
      return undefined;
    }
  };
}

/** Everything of two source trees and the CVEs that the newer one fixed. */
export async function pairedChanges(before: string, after: string, fixed: readonly Advisory[]): Promise<PairedChanges> {
  const groups = groupChanges(await diffTrees(before, after), textOf(before), textOf(after));
  return { groups, ...attribute(groups, fixed) };
}

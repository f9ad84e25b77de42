/**
 * Fixes from two source packages of a distribution: the changes between them, grouped by what depends on what. A CVE is claimed
 * only if its changes can be distinguished from all others in its files; everything else is printed, and never counted.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Advisory, FixHunk } from 'kpatch/advisories';
import { run } from 'kpatch/parts';
import { inOrder } from './needs.ts';
import { type PairHunk, pairHunks } from './pair-hunks.ts';

/** Hunks that must be applied together. */
export interface ChangeGroup {
  /** Its place in the order: a group comes after those that it needs. */
  readonly id: number;
  /** Ids of groups that it cannot do without. */
  readonly needs: readonly number[];
  readonly files: readonly string[];
  readonly hunks: readonly PairHunk[];
}

export interface Claim {
  readonly cve: string;
  /** Ids; all of them together fix it. */
  readonly groups: readonly number[];
  readonly text: string;
}

export interface PairedChanges {
  readonly groups: readonly ChangeGroup[];
  readonly claims: readonly Claim[];
  /** CVEs that cannot be attributed, with the reason. */
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
 * Groups the hunks of a diff. Hunks of one function belong together, and so do a hunk that changes a function and those whose calls of it
 * change. A hunk that uses a name in a file that lacked it needs the hunk that brings the name. A hunk that takes a name away needs
 * those that remove it from files. `before` and `after` are the two sources.
 */
export function groupChanges(
  diff: Buffer,
  before: TextOf = () => undefined,
  after: TextOf = () => undefined,
  isWanted: (path: string) => boolean = () => true,
): ChangeGroup[] {
  const hunks = pairHunks(diff).filter(({ path }) => isCode.test(path) && isWanted(path));
  const sets = new Sets(hunks.length);
  const functions = new Map<string, number>();
  for (const [at, hunk] of hunks.entries()) {
    const place = functionOf(hunk);
    if (place === undefined) continue;
    const other = functions.get(place);
    if (other !== undefined) sets.unite(at, other);
    functions.set(place, at);
  }
  const pairs = relate(hunks, wordsOf(before), wordsOf(after), sets);
  const needs = hunks.map(() => new Set<number>());
  for (const [one, needed] of pairs) needs[sets.find(one)]!.add(sets.find(needed));
  const members = Map.groupBy(hunks.keys(), (at) => sets.find(at));
  const ordered = inOrder(needs)
    .map((nodes) => nodes.flatMap((node) => [...(members.get(node) ?? [])]).sort((a, b) => a - b))
    .filter((own) => own.length > 0);
  const groupOf = new Map(ordered.flatMap((own, id) => own.map((at) => [at, id] as const)));
  return ordered.map((own, id) => {
    const needed = new Set(own.flatMap((at) => [...needs[sets.find(at)]!].map((node) => groupOf.get(node)!)));
    const parts = own.map((at) => hunks[at]!);
    const files = [...new Set(parts.map(({ path }) => path))].sort();
    return { id, needs: [...needed].filter((one) => one !== id).sort((a, b) => a - b), files, hunks: parts };
  });
}

/** A group as a patch file with this description. */
export function patchOf({ hunks }: ChangeGroup, description: string): Buffer {
  const files = Map.groupBy(hunks, ({ head }) => head);
  const parts = [...files].map(([head, own]) => head + own.map(({ text }) => text).join(''));
  return Buffer.from(`${description}\n\n${parts.join('')}`, 'latin1');
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

/** Unites what changes one function, and returns pairs of hunks of which the first one needs the second one. */
function relate(hunks: readonly FixHunk[], before: WordsOf, after: WordsOf, sets: Sets): [number, number][] {
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
  const pairs: [number, number][] = [];
  for (const [at, { added, removed }] of sides.entries()) {
    const { path } = hunks[at]!;
    const seen = (name: string, definers: ReadonlyMap<string, readonly Definer[]>): readonly Definer[] =>
      (definers.get(name) ?? []).filter(({ file, hunk }) => (file === undefined || file === path) && hunk !== at);
    const [fresh, gone] = [new Set(namesIn(added)), new Set(namesIn(removed))];
    for (const name of fresh) {
      if (!before(path).has(name)) for (const { hunk } of seen(name, brought)) pairs.push([at, hunk]);
      else if (gone.has(name) && brought.has(name))
        for (const { hunk, isCalled } of seen(name, taken)) if (isCalled) sets.unite(at, hunk);
    }
    for (const name of gone)
      if (!after(path).has(name) && !brought.has(name))
        for (const { hunk } of seen(name, taken)) pairs.push([hunk, at]);
  }
  return pairs;
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
 * Attributes CVEs to groups: each file of its record must be changed by one group, with what that needs, and no other CVE that the
 * newer version fixed may name the file.
 */
export function attribute(
  groups: readonly Pick<ChangeGroup, 'id' | 'needs' | 'files'>[],
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
    const own = code.map((file) => changeOf(byFile.get(file)!, groups));
    const mixed = own.indexOf(undefined);
    if (mixed >= 0) {
      const count = byFile.get(code[mixed]!)!.size;
      no(`${count} independent changes are in ${code[mixed]}, and nothing says which of them fix it`);
      continue;
    }
    const text = `the only change of ${code.join(', ')} between the two sources`;
    claims.push({ cve, groups: [...new Set(own.map((group) => group!))].sort((x, y) => x - y), text });
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

/** The group that is the only change among these, apart from what it needs. */
function changeOf(
  touching: ReadonlySet<number>,
  groups: readonly Pick<ChangeGroup, 'id' | 'needs'>[],
): number | undefined {
  return [...touching].find((one) => touching.difference(withNeeds(one, groups)).size === 0);
}

/** A group and all that it needs. */
export function withNeeds(id: number, groups: readonly Pick<ChangeGroup, 'id' | 'needs'>[]): Set<number> {
  const all = new Set([id]);
  for (const one of all) for (const needed of groups[one]?.needs ?? []) all.add(needed);
  return all;
}

/** What a kernel is not made of, and what its build makes. */
const isOther =
  /^(?:Documentation|debian|samples|scripts|tools|usr)\/|(?:^|\/)generated\/|^include\/config\/|\.mod\.c$/;

/** The groups of changes between two source trees; of other machines than the one that `before` is configured for only common code. */
export async function changesBetween(before: string, after: string): Promise<ChangeGroup[]> {
  const own = new Map<string, boolean>();
  const isOwn = (machine: string): boolean => {
    const known = own.get(machine) ?? existsSync(join(before, 'arch', machine, 'include/generated'));
    own.set(machine, known);
    return known;
  };
  const isConfigured = existsSync(join(before, 'include/generated'));
  const isWanted = (path: string): boolean => {
    const machine = /^arch\/([^/]+)\//.exec(path)?.[1];
    return !isOther.test(path) && (machine === undefined || !isConfigured || isOwn(machine));
  };
  return groupChanges(await diffTrees(before, after), textOf(before), textOf(after), isWanted);
}

/** Everything of two source trees and the CVEs that the newer one fixed. */
export async function pairedChanges(before: string, after: string, fixed: readonly Advisory[]): Promise<PairedChanges> {
  const groups = await changesBetween(before, after);
  return { groups, ...attribute(groups, fixed) };
}

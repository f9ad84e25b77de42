/**
 * Fixes from two source packages of a distribution: the changes between them, grouped by what depends on what. A CVE is claimed
 * only if its changes can be distinguished from all others in its files; everything else is printed, and never counted.
 */
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

/**
 * Groups the hunks of a diff: hunks that define a name go with hunks that use it in their new lines, and hunks of one function
 * stay together.
 */
export function groupChanges(diff: Buffer): ChangeGroup[] {
  const hunks = hunksOf(diff, 'the difference').filter(({ path }) => isCode.test(path));
  const parent = hunks.map((_, at) => at);
  const find = (at: number): number => {
    let top = at;
    while (parent[top] !== top) top = parent[top]!;
    parent[at] = top;
    return top;
  };
  const unite = (a: number, b: number): void => {
    parent[find(a)] = find(b);
  };
  const definers = new Map<string, number[]>();
  const functions = new Map<string, number>();
  for (const [at, hunk] of hunks.entries()) {
    for (const name of definedIn(hunk)) definers.set(name, [...(definers.get(name) ?? []), at]);
    const place = functionOf(hunk);
    if (place === undefined) continue;
    const before = functions.get(place);
    if (before !== undefined) unite(at, before);
    functions.set(place, at);
  }
  for (const [at, hunk] of hunks.entries()) {
    const used = new Set(changedLines(hunk).flatMap((line) => line.match(/[A-Za-z_]\w{3,}/g) ?? []));
    for (const name of used) for (const definer of definers.get(name) ?? []) unite(at, definer);
  }
  const groups = Map.groupBy(hunks.keys(), find);
  return [...groups.values()].map((members, id) => {
    const own = [...members].map((at) => hunks[at]!);
    return { id, files: [...new Set(own.map(({ path }) => path))].sort(), hunks: own };
  });
}

/** Lines that only one side has. */
function changedLines({ before, after }: FixHunk): string[] {
  const [old, fresh] = [new Set(before), new Set(after)];
  return [...after.filter((line) => !old.has(line)), ...before.filter((line) => !fresh.has(line))];
}

/** Names that the hunk's changed lines define or redefine: functions, macros, structures, and members with a new type. */
function definedIn(hunk: FixHunk): string[] {
  return changedLines(hunk).flatMap((line) => {
    const macro = /^#\s*define\s+(\w+)/.exec(line)?.[1];
    const type = /^(?:typedef\s+)?(?:struct|union|enum)\s+(\w+)\s*\{/.exec(line)?.[1];
    const called = /^[A-Za-z_][\w\s*]*?\b(\w+)\s*\(/.exec(line)?.[1];
    const member = hunk.path.endsWith('.h')
      ? /^\s+[\w\s*]+?[\s*](\w+)(?:\[[^\]]*\])?(?::\d+)?;/.exec(line)?.[1]
      : undefined;
    return [macro, type, called, member].filter((name) => name !== undefined && name.length > 3) as string[];
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

/** Everything of two source trees and the CVEs that the newer one fixed. */
export async function pairedChanges(before: string, after: string, fixed: readonly Advisory[]): Promise<PairedChanges> {
  const groups = groupChanges(await diffTrees(before, after));
  return { groups, ...attribute(groups, fixed) };
}

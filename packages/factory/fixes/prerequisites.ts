/** Searches for the commits that a change needs before it applies: those that wrote the lines around it. */
import { foreignCommit } from './find.ts';
import type { Git } from './git.ts';
import type { Commit, History } from './history.ts';

/** Commits that wrote what this commit changes and that `base` lacks, oldest first. */
export async function neededBy(commit: Commit, history: History, git: Git, base: string): Promise<Commit[]> {
  const parent = await git.commit(`${commit.id}~1`);
  if (parent === undefined) return [];
  const ids = new Set<string>();
  for (const { path, start, count } of rangesOf((await git.diff(commit.id)).toString('latin1'))) {
    const range = `${Math.max(1, start)},+${Math.max(1, count)}`;
    const blamed = await git.try(['blame', '-s', '-l', '--root', '-L', range, parent, '--', path]);
    if (blamed.status !== 0) continue;
    for (const [, id] of blamed.stdout.toString('latin1').matchAll(/^\^?([0-9a-f]{39,40})\b/gm)) ids.add(id!);
  }
  const needed: Commit[] = [];
  for (const name of ids) {
    const id = await git.commit(name);
    if (id === undefined || (await git.isAncestor(id, base))) continue;
    const [own] = history.carrying(id);
    needed.push(own ?? (await foreignCommit(git, id)));
  }
  return needed.sort((a, b) => a.position - b.position);
}

/** The ranges of the old files that a diff changes. */
function rangesOf(diff: string): { path: string; start: number; count: number }[] {
  const ranges: { path: string; start: number; count: number }[] = [];
  let path: string | undefined;
  for (const line of diff.split('\n')) {
    if (line.startsWith('--- ')) path = line.startsWith('--- a/') ? line.slice(6) : undefined;
    const [, start, count = '1'] = /^@@ -(\d+)(?:,(\d+))? \+/.exec(line) ?? [];
    if (start !== undefined && path !== undefined) ranges.push({ path, start: Number(start), count: Number(count) });
  }
  return ranges;
}

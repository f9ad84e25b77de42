/** Finds the commits that fix a CVE: on the kernel's own branch, or of another branch, to be carried back. */
import type { Advisory } from 'kpatch/advisories';
import type { Git } from './git.ts';
import { type Commit, type History, parseCommit } from './history.ts';

export type Found =
  | { readonly state: 'found'; readonly commits: readonly Commit[]; readonly text: string }
  /** The source of the kernel has the fix already. */
  | { readonly state: 'in the base'; readonly commits: readonly Commit[]; readonly text: string }
  | { readonly state: 'missing'; readonly text: string };

/**
 * Commits of the branch that the record names, or that carry back what it names, or whose text names the CVE. Without one, the
 * named commit of another branch, which git tries to carry back. `past` reads the commits up to the base, which may have carried it back
 * already; it is called only if the branch has nothing.
 */
export async function findFix(
  advisory: Advisory,
  history: History,
  git: Git,
  base: string,
  past?: () => Promise<History>,
): Promise<Found> {
  const named = [...new Set(advisory.commits.flatMap(({ fixed }) => fixed ?? []))];
  const own = new Set(named.flatMap((id) => history.carrying(id)));
  for (const commit of history.commits) if (commit.cves.includes(advisory.id)) own.add(commit);
  if (own.size > 0) {
    const commits = [...own].sort((a, b) => a.position - b.position);
    return { state: 'found', commits, text: `on this branch: ${commits.map(({ id }) => id.slice(0, 12)).join(', ')}` };
  }
  const before = past === undefined ? [] : inThePast(advisory, named, await past());
  if (before.length > 0) {
    const ids = before.map(({ id }) => id.slice(0, 12)).join(', ');
    return {
      state: 'in the base',
      commits: before,
      text: `${ids} ${before.length > 1 ? 'are' : 'is'} part of the source`,
    };
  }
  if (named.length === 0) return { state: 'missing', text: 'no record names a fixing commit' };
  const here: string[] = [];
  for (const name of named) {
    const id = await git.commit(name);
    if (id === undefined) continue;
    if (await git.isAncestor(id, base))
      return {
        state: 'in the base',
        commits: [await foreignCommit(git, id)],
        text: `${id.slice(0, 12)} is part of the source`,
      };
    here.push(id);
  }
  const last = here.at(-1);
  if (last === undefined) {
    const shallow = (await git.isShallow()) ? ', which is a shallow clone' : '';
    return {
      state: 'missing',
      text: `none of its ${named.length} fixing commits is in the repository${shallow}; fetch it again`,
    };
  }
  const commit = await foreignCommit(git, last);
  return { state: 'found', commits: [commit], text: `of another branch: ${last.slice(0, 12)}` };
}

/** Commits of the past that are a fix or carry one back, and were not reverted. */
function inThePast({ id: cve }: Advisory, named: readonly string[], past: History): Commit[] {
  const own = new Set(named.flatMap((id) => past.carrying(id)));
  for (const commit of past.commits) if (commit.cves.includes(cve)) own.add(commit);
  return [...own].filter((commit) => past.about(commit, 'reverts').length === 0);
}

/** A commit that is not on the branch. It comes after everything that is. */
export async function foreignCommit(git: Git, id: string): Promise<Commit> {
  const text = (await git.ok(['log', '-1', '--format=%s%x1f%B', id])).toString();
  const [subject = '', body = ''] = text.split('\x1f');
  return parseCommit(id, subject, body, Number.MAX_SAFE_INTEGER);
}

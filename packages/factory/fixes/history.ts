/** The commits of a stable branch after a kernel's source, and what each says of others: upstream, Fixes, Revert. */
import type { Git } from './git.ts';

export interface Commit {
  readonly id: string;
  readonly subject: string;
  /** Place in the history; a later commit has a higher one. */
  readonly position: number;
  /** The commit of the main line that it carries back. */
  readonly upstream?: string;
  /** Ids, often cut off, of the commits that it fixes. */
  readonly fixes: readonly string[];
  /** The commit that it reverts. */
  readonly reverts?: string;
  /** CVEs that its text names. */
  readonly cves: readonly string[];
}

/**
 * What stable commits say of upstream (Documentation/process/stable-kernel-rules.rst): `commit ID upstream.` or
 * `[ Upstream commit ID ]`, in a line of its own.
 */
const upstreamLine = /^\s*(?:commit ([0-9a-f]{12,40}) upstream\.?|\[ ?Upstream commit ([0-9a-f]{12,40}) ?\])\s*$/im;

export function parseCommit(id: string, subject: string, body: string, position: number): Commit {
  const found = upstreamLine.exec(body);
  const upstream = (found?.[1] ?? found?.[2])?.toLowerCase();
  const fixes = [...body.matchAll(/^Fixes:\s*([0-9a-f]{8,40})\b/gim)].map(([, commit]) => commit!.toLowerCase());
  const reverts = /^This reverts commit ([0-9a-f]{8,40})/im.exec(body)?.[1]?.toLowerCase();
  return {
    id,
    subject,
    position,
    ...(upstream === undefined ? {} : { upstream }),
    fixes,
    ...(reverts === undefined ? {} : { reverts }),
    cves: [...new Set(body.match(/\bCVE-\d{4}-\d{4,19}\b/g) ?? [])],
  };
}

/** A stable series has about 30,000 commits in its whole life. */
const MOST = 50_000;

export class History {
  readonly commits: readonly Commit[];
  readonly #byId = new Map<string, Commit>();
  readonly #byUpstream = new Map<string, Commit[]>();

  constructor(commits: readonly Commit[]) {
    this.commits = commits;
    for (const commit of commits) {
      this.#byId.set(commit.id, commit);
      if (commit.upstream === undefined) continue;
      const same = this.#byUpstream.get(commit.upstream) ?? [];
      this.#byUpstream.set(commit.upstream, [...same, commit]);
    }
  }

  /**
   * Reads the commits from `base` to `branch`, without merges; without a base, the newest ones. Error: `factory-repository`.
   */
  static async read(git: Git, base: string | undefined, branch: string): Promise<History> {
    const range = base === undefined ? [`--max-count=${MOST}`, branch] : [`${base}..${branch}`];
    const format = '%H%x1f%s%x1f%B%x1e';
    const log = await git.ok(['log', '--topo-order', '--reverse', '--no-merges', `--format=${format}`, ...range, '--']);
    const records = log.toString('utf8').split('\x1e').slice(0, -1);
    return new History(
      records.map((record, position) => {
        const [id = '', subject = '', body = ''] = record.replace(/^\n/, '').split('\x1f');
        return parseCommit(id, subject, body, position);
      }),
    );
  }

  get(id: string): Commit | undefined {
    return this.#byId.get(id);
  }

  /** Commits of this branch that are the named commit, or carry it back. */
  carrying(id: string): Commit[] {
    const own = this.#byId.get(id);
    if (own !== undefined) return [own];
    return [...(this.#byUpstream.get(id) ?? this.#cutOff(id))];
  }

  /** Later commits that fix this one or, with `reverts`, undo it. */
  about(commit: Commit, what: 'fixes' | 'reverts'): Commit[] {
    const names = [commit.id, commit.upstream].filter((name) => name !== undefined);
    const isMeant = (id: string): boolean => names.some((name) => name.startsWith(id));
    return this.commits.filter((one) => {
      if (one.position <= commit.position) return false;
      return what === 'fixes' ? one.fixes.some(isMeant) : one.reverts !== undefined && isMeant(one.reverts);
    });
  }

  /** A name of 12 to 39 digits. */
  #cutOff(id: string): Commit[] {
    if (id.length >= 40 || id.length < 12) return [];
    return this.commits.filter((one) => one.id.startsWith(id) || one.upstream?.startsWith(id) === true);
  }
}

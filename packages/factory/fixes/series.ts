/**
 * One cumulative series for one kernel, in the order of the branch. Fixes of fixes join it, reverted fixes leave it, and what
 * does not apply is dropped together with everything that depends on it.
 */
import type { Git } from './git.ts';
import type { Commit, History } from './history.ts';
import { neededBy } from './prerequisites.ts';

export interface WantedFix {
  readonly commit: Commit;
  readonly cves: readonly string[];
}

export interface SeriesPatch {
  readonly commit: Commit;
  readonly cves: readonly string[];
  readonly why: 'fix' | 'prerequisite' | 'fix of a fix';
  /** Ids of the commits of the series that it cannot do without. */
  readonly needs: readonly string[];
  /** As a patch file: description and diff. */
  readonly text: Buffer;
}

export interface DroppedFix {
  readonly commit: Commit;
  readonly cves: readonly string[];
  readonly reason: string;
}

export interface Series {
  readonly patches: readonly SeriesPatch[];
  readonly dropped: readonly DroppedFix[];
}

/** How far a search for prerequisites goes. */
export interface Bounds {
  /** Prerequisites of prerequisites. */
  readonly depth: number;
  /** Commits that one fix may pull in. */
  readonly commits: number;
}

export const defaultBounds: Bounds = { depth: 3, commits: 8 };

export interface SeriesOptions {
  readonly bounds?: Bounds;
  /** Commits that must stay out, each with the reason: refused by a build or a proof, held by a person. */
  readonly excluded?: ReadonlyMap<string, string>;
}

/** Makes the series on the source that the commit `base` holds. Error: `factory-repository`. */
export async function makeSeries(
  wanted: readonly WantedFix[],
  history: History,
  git: Git,
  base: string,
  options: SeriesOptions = {},
): Promise<Series> {
  const excluded = new Map(options.excluded);
  const extra = new Set<Commit>();
  // Each round leaves one more commit out or takes one more in, so this ends.
  for (;;) {
    const pass = new Pass(history, git, base, options.bounds ?? defaultBounds, excluded, extra);
    const series = await pass.make(wanted);
    if (!pass.isRepeated) return series;
  }
}

interface Plan {
  readonly commit: Commit;
  cves: string[];
  readonly why: 'fix' | 'fix of a fix';
  readonly needs: readonly string[];
}

/** One attempt. What it learns goes into `excluded` and `extra`, and then the series is made again. */
class Pass {
  readonly #history: History;
  readonly #git: Git;
  readonly #base: string;
  readonly #bounds: Bounds;
  readonly #excluded: Map<string, string>;
  readonly #extra: Set<Commit>;
  isRepeated = false;
  readonly #patches: SeriesPatch[] = [];
  readonly #dropped: DroppedFix[] = [];
  #tree = '';

  constructor(
    history: History,
    git: Git,
    base: string,
    bounds: Bounds,
    excluded: Map<string, string>,
    extra: Set<Commit>,
  ) {
    this.#history = history;
    this.#git = git;
    this.#base = base;
    this.#bounds = bounds;
    this.#excluded = excluded;
    this.#extra = extra;
  }

  async make(wanted: readonly WantedFix[]): Promise<Series> {
    this.#tree = `${this.#base}^{tree}`;
    for (const plan of this.#plan(wanted)) {
      await this.#add(plan);
      if (this.isRepeated) break;
    }
    this.#takeFixesOfPrerequisites();
    return { patches: this.#patches, dropped: this.#dropped };
  }

  /** What is wanted, without what was reverted, with the fixes of fixes, in the order of the branch. */
  #plan(wanted: readonly WantedFix[]): Plan[] {
    const plans = new Map<string, Plan>();
    const open: Plan[] = [];
    for (const commit of this.#extra) open.push({ commit, cves: [], why: 'fix of a fix', needs: [] });
    for (const plan of open) plans.set(plan.commit.id, plan);
    for (const { commit, cves } of wanted) {
      const known = plans.get(commit.id);
      if (known !== undefined) {
        known.cves = [...new Set([...known.cves, ...cves])];
        continue;
      }
      const revert = this.#revertOf(commit);
      if (revert !== undefined) {
        const reason = `reverted by ${short(revert)} (${revert.subject})`;
        this.#dropped.push({ commit, cves, reason });
        continue;
      }
      const plan: Plan = { commit, cves: [...cves], why: 'fix', needs: [] };
      plans.set(commit.id, plan);
      open.push(plan);
    }
    for (const { commit } of open) {
      for (const later of this.#history.about(commit, 'fixes')) {
        if (plans.has(later.id) || this.#revertOf(later) !== undefined) continue;
        const plan: Plan = { commit: later, cves: [], why: 'fix of a fix', needs: [commit.id] };
        plans.set(later.id, plan);
        open.push(plan);
      }
    }
    return [...plans.values()].sort((a, b) => a.commit.position - b.commit.position);
  }

  /** The commit that undoes this one for good: its revert, unless that was reverted itself. */
  #revertOf(commit: Commit): Commit | undefined {
    return this.#history.about(commit, 'reverts').find((revert) => this.#revertOf(revert) === undefined);
  }

  async #add({ commit, cves, why, needs }: Plan): Promise<void> {
    const out = this.#excluded.get(commit.id);
    if (out !== undefined) {
      this.#dropped.push({ commit, cves, reason: out });
      this.#leaveOut(needs, `its fix ${short(commit)} is left out: ${out}`);
      return;
    }
    const index = this.#patches.findIndex((one) => one.commit.id === commit.id);
    if (index >= 0) {
      // It joined as a prerequisite already.
      this.#patches[index] = { ...this.#patches[index]!, cves, why };
      return;
    }
    const gone = needs.find((id) => !this.#patches.some((one) => one.commit.id === id));
    if (gone !== undefined) {
      this.#dropped.push({ commit, cves, reason: `it fixes ${gone.slice(0, 12)}, which was dropped` });
      return;
    }
    const before = { tree: this.#tree, count: this.#patches.length };
    const budget = { left: this.#bounds.commits };
    const problem = await this.#apply(commit, cves, why, needs, this.#bounds.depth, budget);
    if (problem === undefined) return;
    this.#tree = before.tree;
    this.#patches.length = before.count;
    this.#dropped.push({ commit, cves, reason: problem });
    // A fix whose own fix cannot be carried back would ship a known flaw.
    this.#leaveOut(needs, `its fix ${short(commit)} was dropped: ${problem}`);
  }

  #leaveOut(ids: readonly string[], reason: string): void {
    for (const id of ids) {
      if (this.#excluded.has(id)) continue;
      this.#excluded.set(id, reason);
      this.isRepeated = true;
    }
  }

  /** A prerequisite brings its own flaws: what fixes it must come too. */
  #takeFixesOfPrerequisites(): void {
    for (const { commit, why } of this.#patches) {
      if (why !== 'prerequisite') continue;
      for (const later of this.#history.about(commit, 'fixes')) {
        const known = this.#extra.has(later) || this.#patches.some((one) => one.commit.id === later.id);
        if (known || this.#excluded.has(later.id) || this.#revertOf(later) !== undefined) continue;
        this.#extra.add(later);
        this.isRepeated = true;
      }
    }
  }

  async #apply(
    commit: Commit,
    cves: readonly string[],
    why: SeriesPatch['why'],
    needs: readonly string[],
    depth: number,
    budget: { left: number },
  ): Promise<string | undefined> {
    const change = await this.#git.diff(commit.id);
    if (change.length === 0) return 'it changes nothing';
    const out = this.#excluded.get(commit.id);
    if (out !== undefined) return `it is left out: ${out}`;
    const first = await this.#git.apply(this.#tree, change);
    if (first.tree !== undefined) return await this.#take(commit, cves, why, needs, first.tree);
    if (depth === 0) return `${first.problem}; the search for prerequisites ended at its bound`;
    const tried: string[] = [];
    const all = await neededBy(commit, this.#history, this.#git, this.#base);
    for (const one of all) {
      if (this.#patches.some((patch) => patch.commit.id === one.id)) continue;
      if (budget.left-- <= 0) return `${first.problem}; it needs more than ${this.#bounds.commits} other commits`;
      const problem = await this.#apply(one, [], 'prerequisite', [], depth - 1, budget);
      if (problem !== undefined) return `${first.problem}; its prerequisite ${short(one)}: ${problem}`;
      tried.push(one.id);
    }
    if (tried.length === 0) return `${first.problem}; no prerequisite was found`;
    const again = await this.#git.apply(this.#tree, change);
    if (again.tree === undefined) return `${again.problem}, also with ${tried.length} earlier commits`;
    return await this.#take(commit, cves, why, [...needs, ...tried], again.tree);
  }

  async #take(
    commit: Commit,
    cves: readonly string[],
    why: SeriesPatch['why'],
    needs: readonly string[],
    tree: string,
  ): Promise<string | undefined> {
    const diff = await this.#git.ok(['diff-tree', '-p', '--no-renames', this.#tree, tree]);
    if (diff.length === 0) return 'the source has its changes already';
    const upstream = commit.upstream === undefined ? '' : `\n[ Upstream commit ${commit.upstream} ]\n`;
    const named = cves.length === 0 ? '' : `\n${cves.join(' ')}\n`;
    const head = `Subject: ${commit.subject}\n\ncommit ${commit.id}\n${upstream}${named}\n`;
    this.#patches.push({ commit, cves, why, needs, text: Buffer.concat([Buffer.from(head), diff]) });
    this.#tree = tree;
    return undefined;
  }
}

/** The series without these commits (with the reason for each) and without everything that needs one of them. */
export function withoutPatches(
  patches: readonly SeriesPatch[],
  reasons: ReadonlyMap<string, string>,
): { kept: SeriesPatch[]; dropped: DroppedFix[] } {
  const gone = new Map(reasons);
  for (let before = -1; before !== gone.size; ) {
    before = gone.size;
    for (const { commit, needs } of patches) {
      const cause = needs.find((need) => gone.has(need));
      if (cause !== undefined && !gone.has(commit.id))
        gone.set(commit.id, `it needs ${cause.slice(0, 12)}, which was dropped`);
    }
  }
  const dropped = patches
    .filter(({ commit }) => gone.has(commit.id))
    .map(({ commit, cves }) => ({ commit, cves, reason: gone.get(commit.id)! }));
  return { kept: patches.filter(({ commit }) => !gone.has(commit.id)), dropped };
}

function short(commit: Commit): string {
  return commit.id.slice(0, 12);
}

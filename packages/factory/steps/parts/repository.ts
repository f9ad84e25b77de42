/** The repository of the fixes, opened for one kernel. */

import { failure } from 'kpatch/parts';
import { Git } from '../../fixes/git.ts';
import { History } from '../../fixes/history.ts';
import { type Factory, kernelOf } from '../factory.ts';

export interface OpenRepository extends Disposable {
  readonly git: Git;
  readonly history: History;
  /** The commit that holds the kernel's source. */
  readonly base: string;
  /** The commits up to the base; undefined if the repository does not name it. Read once, when it is needed. */
  readonly past: (() => Promise<History>) | undefined;
}

/** Undefined if the factory has no repository. Error: `factory-repository`. */
export async function openRepository(
  factory: Factory,
  release: string,
  tree: string,
): Promise<OpenRepository | undefined> {
  const { repository, branch: general } = factory.config;
  if (repository === undefined) return undefined;
  const { base: named, branch = general } = kernelOf(factory, release);
  const git = await Git.open(repository);
  try {
    const start = named === undefined ? undefined : await git.commit(named);
    if (named !== undefined && start === undefined) throw lacks(repository, `commit ${named}`);
    const head = await git.commit(branch);
    if (head === undefined) throw lacks(repository, `branch ${branch}`);
    const base = start ?? (await git.importTree(tree));
    const history = await History.read(git, start, head);
    let read: Promise<History> | undefined;
    const past = (): Promise<History> => {
      read ??= History.read(git, undefined, base);
      return read;
    };
    const known = start === undefined ? undefined : past;
    return { git, history, base, past: known, [Symbol.dispose]: () => git[Symbol.dispose]() };
  } catch (error) {
    git[Symbol.dispose]();
    throw error;
  }
}

function lacks(folder: string, what: string): Error {
  return failure('factory-repository', { folder, problem: `it has no ${what}; fetch it again` });
}

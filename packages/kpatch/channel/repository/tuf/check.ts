/** Reads the TUF repository of a publication as a machine would that trusts a root, and checks every file that it lists. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KpatchError } from '../../../base/errors/error.ts';
import { temporaryFolder } from '../../../base/files.ts';
import { readTarget } from '../../follow/tuf/fetch.ts';
import { refresh, verifiedTargets } from '../../follow/tuf/refresh.ts';
import { folderSource } from '../../follow/tuf/source.ts';
import { startState } from '../../follow/tuf/state.ts';
import { listedPatches, targetFiles } from '../../tuf/target.ts';

/**
 * The problems of a tree's TUF repository, in words; none if it has none. `root` is the root to trust, by default the
 * first one of the tree, from which a machine follows the chain to the newest.
 */
export async function tufProblems(tree: string, root?: Uint8Array): Promise<{ problems: string[]; files: number }> {
  if (!existsSync(join(tree, 'tuf'))) return { problems: [], files: 0 };
  const first = join(tree, 'tuf/1.root.json');
  if (root === undefined && !existsSync(first)) return { problems: ['tuf/1.root.json is missing'], files: 0 };
  using work = temporaryFolder('kpatch-check-');
  const source = folderSource(tree);
  const problems: string[] = [];
  let files = 0;
  const attempt = async (step: () => Promise<void> | void): Promise<boolean> => {
    try {
      await step();
      return true;
    } catch (error) {
      if (!(error instanceof KpatchError)) throw error;
      problems.push(error.message);
      return false;
    }
  };
  startState(work.path, root ?? readFileSync(first));
  if (!(await attempt(() => refresh(work.path, source)))) return { problems, files };
  const signed = verifiedTargets(work.path);
  await attempt(() => void listedPatches(signed));
  for (const file of targetFiles(signed).values()) {
    files++;
    await attempt(async () => void (await readTarget(source, file)));
  }
  return { problems, files };
}

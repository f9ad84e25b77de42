/** Reviews source patches against the source of a kernel; nothing is compiled. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from '../base/run.ts';
import { SourceOverlay } from '../kbuild/overlay.ts';
import { objectOf } from '../kbuild/unit.ts';
import type { KernelFacts } from '../prepare/facts.ts';
import { applyPatch } from '../source/apply.ts';
import { isNoCode, placeInTree, type SourcePatch } from '../source/patch.ts';
import { changeOf, type FileChange } from './change.ts';
import type { Hazard } from './hazard.ts';
import { hazardsOf } from './review.ts';

/**
 * The source files that the patches change, before and after. `earlier` are patches of the same series that come before them:
 * what they change in these files is part of "before". Errors: those of placing and applying patches.
 */
export async function changedFiles(
  facts: KernelFacts,
  patches: readonly SourcePatch[],
  folder: string,
  earlier: readonly SourcePatch[] = [],
): Promise<FileChange[]> {
  const { tree } = facts.kernel.paths;
  const objects = await facts.objects();
  const placed = placeInTree([...earlier, ...patches], tree).map((patch) => ({
    ...patch,
    files: patch.files.filter(({ path }) => isReviewed(path, (file) => objects.has(objectOf(file)))),
  }));
  const root = join(folder, 'reviewed');
  mkdirSync(root);
  const overlay = new SourceOverlay(tree, root);
  const own = placed.slice(earlier.length);
  const files = [...new Set(own.flatMap((patch) => patch.files.map(({ path }) => path)))];
  for (const patch of placed.slice(0, earlier.length)) {
    const shared = { ...patch, files: patch.files.filter(({ path }) => files.includes(path)) };
    if (shared.files.length > 0) await applyPatch(overlay, shared, facts.kernel.release, placed);
  }
  const before = new Map(files.map((file) => [file, overlay.text(file) ?? '']));
  for (const patch of own) await applyPatch(overlay, patch, facts.kernel.release, placed);
  return files.map((file) => ({ file, before: before.get(file)!, after: overlay.text(file) ?? '' }));
}

/** The hazards of the patches; `folder` is an empty working folder, `earlier` as in `changedFiles`. Errors: those of `changedFiles`. */
export async function reviewPatches(
  facts: KernelFacts,
  patches: readonly SourcePatch[],
  folder: string,
  earlier: readonly SourcePatch[] = [],
): Promise<{ readonly hazards: readonly Hazard[]; readonly reviewed: number }> {
  const changes = await changedFiles(facts, patches, folder, earlier);
  const hazards = await reviewFiles(changes, facts.kernel.paths.tree);
  return { hazards, reviewed: changeOf(changes).functions.length };
}

/** Reviews changed files; mentions of the changed functions are looked for in the folders of the files. */
export async function reviewFiles(files: readonly FileChange[], tree: string): Promise<Hazard[]> {
  const first = changeOf(files);
  const names = first.functions
    .filter(({ before, after }) => before !== undefined && after !== undefined)
    .map(({ name }) => name);
  if (names.length === 0 && first.functions.length === 0 && files.every(({ file }) => !file.endsWith('.h')))
    return hazardsOf(first);
  const known = new Set(files.map(({ file }) => file));
  const mentions = new Map<string, string>();
  for (const folder of new Set(files.map(({ file }) => dirname(file)))) {
    if (names.length === 0 || !existsSync(join(tree, folder))) continue;
    const { stdout } = await run('grep', ['-lswF', '-f', '-', '-r', '--include=*.c', '--', folder], {
      cwd: tree,
      env: { LC_ALL: 'C' },
      input: `${names.join('\n')}\n`,
    });
    for (const file of stdout
      .toString('latin1')
      .split('\n')
      .filter((one) => one !== '')
      .sort()
      .slice(0, 40))
      if (!known.has(file)) mentions.set(file, textOf(join(tree, file)));
  }
  return hazardsOf(changeOf(files, mentions));
}

/** C files that the kernel is built from, and headers. */
function isReviewed(path: string, isUnit: (file: string) => boolean): boolean {
  if (isNoCode(path)) return false;
  return path.endsWith('.h') || (path.endsWith('.c') && isUnit(path)) || path.endsWith('.inc');
}

function textOf(path: string): string {
  return existsSync(path) ? readFileSync(path, 'latin1') : '';
}

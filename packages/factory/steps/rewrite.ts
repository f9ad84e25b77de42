/** Rewrites a patch that the build refuses, with the rules that the settings allow (docs/rewrite.md). */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rewriteRulesAgainst } from 'kpatch';
import { KpatchError, temporaryFolder } from 'kpatch/parts';
import type { Factory, StoredPatch } from './factory.ts';
import { filesOf, rewritingsOf, writePatches } from './parts/files.ts';

export interface RewriteResult {
  /** True if there is another patch to build now. */
  readonly done: boolean;
  /** Why there is none, if a rule was tried. */
  readonly problem?: string;
}

/** Rewrites `patch` with the rules that can help against `error`, in addition to those that were applied before. */
export async function rewritePatch(
  factory: Factory,
  release: string,
  patches: readonly StoredPatch[],
  patch: StoredPatch,
  error: KpatchError,
): Promise<RewriteResult> {
  const { state, config, tools } = factory;
  const known = await rewritingsOf(factory, release);
  const applied = known[patch.digest]?.rules ?? [];
  const helpful = rewriteRulesAgainst(error).filter((rule) => !applied.includes(rule));
  const rules = helpful.filter((rule) => config.rewrite.includes(rule));
  if (rules.length === 0) {
    const denied = helpful.length > 0 ? { problem: `the settings do not allow the rules ${helpful.join(', ')}` } : {};
    return { done: false, ...denied };
  }
  const all = [...applied, ...rules];
  using folder = temporaryFolder('kpatch-factory-');
  const own = await state.blobs.get(patch.digest);
  const before = await writePatches(factory, release, patches.slice(0, patches.indexOf(patch)), folder.path);
  const files = filesOf(own);
  const earlier: string[] = [];
  for (const { file, digest } of before)
    if (filesOf(await state.blobs.get(digest)).some((one) => files.includes(one))) earlier.push(file);
  const given = join(folder.path, 'given.patch');
  writeFileSync(given, own ?? '');
  try {
    const { patch: text, notes } = await tools.rewrite({ release, patches: [given], earlier, rules: all });
    const head = (own?.toString('latin1') ?? '').split(/^diff --git /m)[0]!;
    const digest = await state.blobs.put(Buffer.from(head + text, 'latin1'));
    await state.write('rewritten', release, { ...known, [patch.digest]: { rules: all, digest, notes } });
    await state.note('rewritten', release, { commit: patch.commit.id, cves: patch.cves, rules: all, notes });
    return { done: true };
  } catch (problem) {
    if (!(problem instanceof KpatchError) || problem.code === 'interrupted') throw problem;
    return { done: false, problem: `${problem.code}: ${problem.message}` };
  }
}

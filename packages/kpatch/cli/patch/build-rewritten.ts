/** `kpatch build --rewrite`: builds the patch as it is, and where that is refused, as the rules rewrite it. */
import { join } from 'node:path';
import { KpatchError } from '../../base/errors/error.ts';
import { temporaryFolder, writeAtomically } from '../../base/files.ts';
import type { Reporter } from '../../base/report.ts';
import { build } from '../../builder/build.ts';
import type { BuildRequest, BuildResult } from '../../builder/request.ts';
import { nameFor } from '../../module/name.ts';
import { KernelFacts } from '../../prepare/facts.ts';
import { prepareKernel } from '../../prepare/kernel.ts';
import { rewritePatches, rulesAgainst } from '../../rewrite/patches.ts';
import { noteText } from '../../rewrite/rewrite.ts';
import { readableFiles } from '../../sandbox/user.ts';
import { readSeries } from '../../source/series.ts';
import { rewrittenName } from './rewrite.ts';

/** Each round can meet another refusal. */
const ROUNDS = 4;

/** Errors: those of `build` and `rewritePatches`. The rewritten patch is also written to the current folder. */
export async function buildRewritten(request: BuildRequest, report: Reporter): Promise<BuildResult> {
  const names = new Set<string>();
  const given = readSeries(request.patches);
  const name = request.name ?? nameFor(given[0]!.name);
  let patches = request.patches;
  using folder = temporaryFolder('kpatch-rewrite-');
  for (let round = 0; ; round++) {
    let refusal: KpatchError;
    try {
      return await build({ ...request, patches, name }, report);
    } catch (error) {
      const more = error instanceof KpatchError ? rulesAgainst(error).filter((rule) => !names.has(rule)) : [];
      if (more.length === 0 || round === ROUNDS) throw error;
      for (const rule of more) names.add(rule);
      report.note(`refused: ${(error as Error).message}; rewriting the patch`);
      refusal = error as KpatchError;
    }
    const kernel = await prepareKernel(request.release, { ...request.kernelSource, report });
    using _readable = readableFiles();
    using work = temporaryFolder('kpatch-rewrite-');
    const facts = new KernelFacts(kernel);
    const rewritten = await rewritePatches(facts, given, work.path, [...names], { refusal }).catch((error: unknown) => {
      // That nothing can be rewritten says less than why the build refused the patch.
      throw error instanceof KpatchError && error.code === 'rewrite-nothing' ? refusal : error;
    });
    for (const note of rewritten.notes) report.warn(noteText(note));
    const bytes = Buffer.from(rewritten.patch, 'latin1');
    const kept = rewrittenName(given[0]!.name);
    writeAtomically(kept, bytes);
    const file = join(folder.path, kept.slice(kept.lastIndexOf('/') + 1));
    writeAtomically(file, bytes);
    patches = [file];
  }
}

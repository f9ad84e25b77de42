/** Patches, plans and compiles in the kernel tree. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { KpatchError } from '../../../base/errors/error.ts';
import { plural } from '../../../base/errors/plural.ts';
import { SourceOverlay } from '../../../kbuild/overlay.ts';
import { placeAuthorHeaders } from '../../../source/author-headers.ts';
import { placeInTree } from '../../../source/patch.ts';
import { type CompiledPair, compilePairs } from '../../pairs.ts';
import { decidingUnits } from '../../planning/deciding.ts';
import { includersOf } from '../../planning/includers.ts';
import { planBuild, sortFiles, withoutFiles } from '../../planning/plan.ts';
import { unbuiltOf, usedElsewhere } from '../../planning/unbuilt.ts';
import { addedUnits, isMakefile } from '../../rules/makefiles.ts';
import { checkOffsets } from '../../rules/offsets.ts';
import { applySeries } from './sources.ts';
import type { CompilePlan, Look, Sources, Work, Workshop } from './workshop.ts';

export function kernelTree(work: Work): Workshop {
  return {
    patch: () => patchTree(work),
    decide: (sources, look) => decideInTree(work, sources, look),
    plan: (sources) => planTree(work, sources),
    compile: (sources, plan, look) => compileTree(work, sources, plan, look),
  };
}

/** Applies what is code of this kernel. Errors: `source-kind-unsupported`, those of placing and applying patches. */
async function patchTree({ order, target, folder, report }: Work): Promise<Sources> {
  const { facts, kernel } = target;
  const { tree } = kernel.paths;
  const patched = new SourceOverlay(tree, newFolder(folder, 'patched'));
  const placed = placeInTree(order.patches, tree);
  const objects = await facts.objects();
  const { leftOut } = sortFiles(placed, objects, unbuiltOf(objects, facts, patched).missing);
  const applied = withoutFiles(placed, leftOut);
  return { patched, placed, applied, leftOut, ...(await applySeries(patched, applied, kernel.release, report)) };
}

/** Compiles the deciding units of changed headers. Errors: those of `look`. A unit that cannot be compiled decides nothing. */
async function decideInTree({ target, folder, report, jobs }: Work, { patched }: Sources, look: Look): Promise<void> {
  const { facts } = target;
  const deciding = await decidingUnits(facts, patched);
  if (deciding === undefined) return;
  const { structures, units } = deciding;
  const title = `first look at ${structures.slice(0, 3).join(', ')}: ${units.map(({ object }) => object).join(', ')}`;
  await report.stage(title, async (update) => {
    const common = {
      facts,
      units,
      patched,
      folder: newFolder(folder, 'deciding'),
      jobs,
      look,
      update,
      note: () => undefined,
    };
    const pairs = await compilePairs(common).catch((error: unknown) => {
      // The whole plan is compiled with its own messages.
      if (error instanceof KpatchError && error.code === 'compile-failed') return [];
      throw error;
    });
    await look(pairs);
  });
}

/** Finds the units. Errors: those of `planBuild`, of the rules on Makefiles, and of changed assembly offsets. */
async function planTree({ target, folder, report }: Work, sources: Sources): Promise<CompilePlan> {
  const { facts, kernel } = target;
  const { patched, placed, applied } = sources;
  const objects = await facts.objects();
  // The patches can change what Makefiles say of a file.
  const unbuilt = unbuiltOf(objects, facts, patched);
  const { units, leftOut } = await report.stage('plan', async () => {
    const added = await addedUnits(placed, facts, patched);
    return planBuild(placed, objects, added, includersOf(facts, patched, report), kernel.release, unbuilt);
  });
  for (const { file, reason } of leftOut) report.note(`left out: ${file} (${reason})`);
  // Files that no unit includes must not have an effect in another way either. Makefiles were checked line by line.
  for (const { file } of leftOut) if (!isMakefile(file)) patched.restore(file);
  placeAuthorHeaders(patched, applied);
  await checkOffsets(facts, patched, [...patched.copies], join(folder, 'offsets'));
  return { units, leftOut, elsewhere: () => usedElsewhere(applied, leftOut, unbuilt, patched) };
}

/** Errors: those of `compilePairs`. */
async function compileTree(
  { target, folder, report, jobs }: Work,
  { patched }: Sources,
  { units }: CompilePlan,
  look: Look,
): Promise<readonly CompiledPair[]> {
  const title = units.length === 1 ? units[0]!.object : plural(units.length, 'unit');
  const common = { facts: target.facts, units, patched, folder: newFolder(folder, 'original'), jobs, look };
  const note = (text: string): void => report.note(text);
  return await report.stage(`compile ${title}`, (update) => compilePairs({ ...common, update, note }));
}

function newFolder(folder: string, part: string): string {
  const path = join(folder, part);
  mkdirSync(path);
  return path;
}

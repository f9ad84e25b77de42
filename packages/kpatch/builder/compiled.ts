/** Turns source patches into compiled pairs, for the kernel tree or for an out-of-tree module. */

import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { plural } from '../base/errors/plural.ts';
import type { Reporter } from '../base/report.ts';
import { SourceOverlay } from '../kbuild/overlay.ts';
import type { KernelFacts } from '../prepare/facts.ts';
import { type Adjustment, applyPatch } from '../source/apply.ts';
import { placeAuthorHeaders } from '../source/author-headers.ts';
import { placeInTree, type SourcePatch } from '../source/patch.ts';
import { type Edit, watchEdits } from './cause.ts';
import { includersOf } from './includers.ts';
import { addGivenModule, filesLeftOut, type GivenModule, OutOfTreeBuild, type OutOfTreeModule } from './out-of-tree.ts';
import { type CompiledPair, compilePairs } from './pairs.ts';
import { type LeftOut, planBuild, sortFiles, withoutFiles } from './plan.ts';
import { addedUnits, isMakefile } from './rules/makefiles.ts';
import { checkOffsets } from './rules/offsets.ts';
import { unbuiltOf, usedElsewhere } from './unbuilt.ts';

/** Input of both ways of compiling. */
export interface CompileInput {
  readonly request: { readonly jobs?: number; readonly outOfTree?: OutOfTreeModule };
  readonly patches: readonly SourcePatch[];
  readonly facts: KernelFacts;
  /** For an out-of-tree module. */
  readonly module: GivenModule | undefined;
  /** An empty working folder. */
  readonly folder: string;
  readonly report: Reporter;
  /** See `PairsInput.look`. */
  readonly look: (pairs: readonly CompiledPair[]) => Promise<void>;
}

export interface Compiled {
  readonly pairs: readonly CompiledPair[];
  /** Names of the compiled units. */
  readonly units: readonly string[];
  /** The patched source. */
  readonly patched: SourceOverlay;
  readonly adjustments: readonly Adjustment[];
  readonly edits: readonly Edit[];
  readonly leftOut: readonly LeftOut[];
  /** Changed files that are also part of code outside kbuild's lists of objects (only needed if no unit changes). */
  readonly elsewhere: () => Promise<LeftOut[]>;
}

/** Apply, plan, compile, for the kernel tree. */
export async function compileInTree(input: CompileInput): Promise<Compiled> {
  const { request, facts, report } = input;
  const { kernel } = facts;
  const folderOf = (part: string): string => join(input.folder, part);
  const folder = (part: string): string => mkdirSync(folderOf(part), { recursive: true })!;
  const patched = new SourceOverlay(kernel.paths.tree, folder('patched'));
  const patches = placeInTree(input.patches, kernel.paths.tree);
  const objects = await facts.objects();
  const { leftOut } = sortFiles(patches, objects, unbuiltOf(objects, facts, patched).missing);
  const applied = withoutFiles(patches, leftOut);
  const { adjustments, edits } = await report.stage('apply', () =>
    applySeries(patched, applied, kernel.release, report),
  );
  // The patches can change what Makefiles say of a file.
  const unbuilt = unbuiltOf(objects, facts, patched);
  const plan = await report.stage('plan', async () => {
    const added = await addedUnits(patches, facts, patched);
    const includers = includersOf(facts, patched, report);
    return planBuild(patches, await facts.objects(), added, includers, kernel.release, unbuilt);
  });
  for (const { file, reason } of plan.leftOut) report.note(`left out: ${file} (${reason})`);
  // Files that no unit includes must not have an effect in another way either. Makefiles were checked line by line.
  for (const { file } of plan.leftOut) if (!isMakefile(file)) patched.restore(file);
  placeAuthorHeaders(patched, applied);
  await checkOffsets(facts, patched, [...patched.copies], folderOf('offsets'));
  const units = plan.units;
  const jobs = request.jobs ?? availableParallelism();
  const pairs = await report.stage(
    `compile ${units.length === 1 ? units[0]!.object : plural(units.length, 'unit')}`,
    (update) => compilePairs({ facts, units, patched, folder: folder('original'), jobs, update, look: input.look }),
  );
  const out = plan.leftOut;
  const elsewhere = (): Promise<LeftOut[]> => usedElsewhere(applied, out, unbuilt, patched);
  return { pairs, units: units.map(({ object }) => object), patched, adjustments, edits, leftOut: out, elsewhere };
}

/** Compile, apply, compile again, for an out-of-tree module. */
export async function compileOutOfTree(input: CompileInput): Promise<Compiled> {
  const { request, facts, report, folder } = input;
  const patches = placeInTree(input.patches, request.outOfTree!.source);
  const { name } = input.module!;
  addGivenModule(facts, input.module!);
  const leftOut = filesLeftOut(patches);
  for (const { file, reason } of leftOut) report.note(`left out: ${file} (${reason})`);
  const jobs = request.jobs ?? availableParallelism();
  const module = new OutOfTreeBuild(facts, name, request.outOfTree!.source, folder, jobs);
  const patched = module.overlay;
  const { adjustments, edits } = await report.stage('apply', () =>
    applySeries(patched, withoutFiles(patches, leftOut), `the module ${name}`, report),
  );
  const pairs = await report.stage(`compile ${name}`, async () => {
    await module.before();
    return await module.after();
  });
  const units = pairs.map(({ unit }) => unit.object);
  return { pairs, units, patched, adjustments, edits, leftOut, elsewhere: async () => [] };
}

async function applySeries(
  overlay: SourceOverlay,
  patches: readonly SourcePatch[],
  release: string,
  report: Reporter,
): Promise<{ adjustments: Adjustment[]; edits: Edit[] }> {
  const adjustments: Adjustment[] = [];
  const edits: Edit[] = [];
  for (const patch of patches) {
    const editsMade = watchEdits(overlay, patch);
    adjustments.push(...(await applyPatch(overlay, patch, release, patches)));
    edits.push(...editsMade());
  }
  for (const { patch, file, hunk, fuzz, lines } of adjustments) {
    report.warn(`${patch}: hunk ${hunk} of ${file} applied with fuzz ${fuzz}; please check:\n${lines}`);
  }
  return { adjustments, edits };
}

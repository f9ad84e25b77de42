/** Patches and compiles an out-of-tree module: compile, apply, compile again. kbuild determines the units. */
import { placeInTree } from '../../../source/patch.ts';
import { addGivenModule, filesLeftOut, OutOfTreeBuild } from '../../out-of-tree.ts';
import { withoutFiles } from '../../planning/plan.ts';
import { applySeries } from './sources.ts';
import type { Work, Workshop } from './workshop.ts';

/** Errors of its stages: `oot-other-kernel`, `oot-not-built`, `compile-failed`, those of placing and applying patches. */
export function ownModule({ order, target, folder, report, jobs }: Work): Workshop {
  const { source } = order.request.outOfTree!;
  const { name } = order.module!;
  let build: OutOfTreeBuild | undefined;
  return {
    async patch() {
      const placed = placeInTree(order.patches, source);
      addGivenModule(target.facts, order.module!);
      const leftOut = filesLeftOut(placed);
      for (const { file, reason } of leftOut) report.note(`left out: ${file} (${reason})`);
      build = new OutOfTreeBuild(target.facts, name, source, folder, jobs);
      const applied = withoutFiles(placed, leftOut);
      const made = await applySeries(build.overlay, applied, `the module ${name}`, report);
      return { patched: build.overlay, placed, applied, leftOut, ...made };
    },
    decide: () => Promise.resolve(),
    plan: async ({ leftOut }) => ({ units: [], leftOut, elsewhere: async () => [] }),
    compile: async () =>
      await report.stage(`compile ${name}`, async () => {
        await build!.before();
        return await build!.after();
      }),
  };
}

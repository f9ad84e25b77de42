/** `kpatch review PATCH...`: hazards of patches that would load and still be wrong. */
import type { Command } from 'commander';
import { plural } from '../../base/errors/plural.ts';
import { temporaryFolder } from '../../base/files.ts';
import { KernelFacts } from '../../prepare/facts.ts';
import { holdKernel, prepareKernel } from '../../prepare/kernel.ts';
import { reviewPatches } from '../../review/patches.ts';
import { hazardText, readKinds, requireAllowed } from '../../review/review.ts';
import { readableFiles } from '../../sandbox/user.ts';
import { readSeries } from '../../source/series.ts';
import { action } from '../command.ts';
import { type KernelSourceOptions, kernelSource, withKernelSource } from '../kernel/kernel-options.ts';

interface Options extends KernelSourceOptions {
  readonly kernel?: string;
  readonly deny?: string;
}

export function register(program: Command): void {
  const command = program
    .command('review')
    .summary('report what is wrong with a patch although it would load')
    .description(
      'Reads source patches and reports hazards: places where live state keeps its old meaning, so that the patch loads and is still ' +
        'wrong. Nothing is compiled. It finds some kinds only; see docs/review.md.',
    )
    .argument('<patch...>', 'unified diffs against the source of the target kernel')
    .option('-k, --kernel <release>', 'target kernel (default: the running one, or the newest available from apt)')
    .option('--deny <kinds>', 'exit with status 4 if a hazard of these kinds is found (comma-separated, or all)')
    .option('--no-sandbox', 'apply the patches with all your rights (dangerous)')
    .option('--json', 'print JSON');
  withKernelSource(command).action(
    action<Options, [string[]]>(async ({ report }, options, files) => {
      const denied = options.deny === undefined ? [] : readKinds(options.deny);
      const patches = readSeries(files);
      const kernel = await report.stage('target kernel', () =>
        prepareKernel(options.kernel, { ...kernelSource(options), report }),
      );
      using _held = await holdKernel(kernel);
      using _readable = readableFiles();
      using work = temporaryFolder('kpatch-review-');
      const { hazards, reviewed } = await report.stage('review', () =>
        reviewPatches(new KernelFacts(kernel), patches, work.path),
      );
      requireAllowed(hazards, denied);
      const found = hazards.length === 0 ? 'no hazard was found' : plural(hazards.length, 'hazard');
      const summary = `${plural(reviewed, 'changed function')} reviewed: ${found}`;
      return {
        schema: 'kpatch.review/1',
        data: { release: kernel.release, hazards: [...hazards], reviewed },
        text: [...hazards.map(hazardText), summary].join('\n'),
      };
    }),
  );
}

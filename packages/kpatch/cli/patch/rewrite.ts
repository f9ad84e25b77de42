/** `kpatch rewrite PATCH...`: another source patch with the same effect that can be live patched. */
import { basename, resolve } from 'node:path';
import type { Command } from 'commander';
import { checkWritable, temporaryFolder, writeAtomically } from '../../base/files.ts';
import { KernelFacts } from '../../prepare/facts.ts';
import { holdKernel, prepareKernel } from '../../prepare/kernel.ts';
import { rewritePatches } from '../../rewrite/patches.ts';
import { noteText } from '../../rewrite/rewrite.ts';
import { readableFiles } from '../../sandbox/user.ts';
import { readSeries } from '../../source/series.ts';
import { action } from '../command.ts';
import { type KernelSourceOptions, kernelSource, withKernelSource } from '../kernel/kernel-options.ts';

interface Options extends KernelSourceOptions {
  readonly kernel?: string;
  readonly output?: string;
  readonly rule: readonly string[];
}

const collect = (value: string, before: readonly string[]): string[] => [...before, value];

export function register(program: Command): void {
  const command = program
    .command('rewrite')
    .summary('turn a refused patch into one that can be live patched')
    .description(
      'Turns source patches that cannot be live patched into another source patch with the same effect on new calls. Read the result ' +
        'before you build it: every applied rule is printed with what it assumes.',
    )
    .argument('<patch...>', 'unified diffs against the source of the target kernel')
    .option('-k, --kernel <release>', 'target kernel (default: the running one, or the newest available from apt)')
    .option(
      '-o, --output <file>',
      'write the new patch to this file (default: NAME.rewritten.patch in the current folder)',
    )
    .option('--rule <name>', 'apply only this rule (repeatable; default: all but jump-label)', collect, [])
    .option('--no-sandbox', 'apply the patches with all your rights (dangerous)')
    .option('--json', 'print JSON');
  withKernelSource(command).action(
    action<Options, [string[]]>(async ({ report }, options, files) => {
      const output = options.output ?? rewrittenName(files[0]!);
      checkWritable(output);
      const patches = readSeries(files);
      const kernel = await report.stage('target kernel', () =>
        prepareKernel(options.kernel, { ...kernelSource(options), report }),
      );
      using _held = await holdKernel(kernel);
      using _readable = readableFiles();
      using work = temporaryFolder('kpatch-rewrite-');
      const names = options.rule.length === 0 ? undefined : options.rule;
      const rewritten = await rewritePatches(new KernelFacts(kernel), patches, work.path, names);
      writeAtomically(output, Buffer.from(rewritten.patch, 'latin1'));
      return {
        schema: 'kpatch.rewrite/1',
        data: { release: kernel.release, patch: output, rules: [...rewritten.notes] },
        text: [...rewritten.notes.map(noteText), `${output}: read it, then build it`].join('\n'),
      };
    }),
  );
}

/** `fix.rewritten.patch` in the current folder, for `fix.patch`. */
export function rewrittenName(patch: string): string {
  return resolve(`${basename(patch).replace(/\.(?:patch|diff)(?:\.(?:gz|zst|xz))?$/, '')}.rewritten.patch`);
}

/** `kpatch update`: the newest live patch for every subscribed kernel. */
import type { Command } from 'commander';
import { update } from '../../channel/follow/follow.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { updateText } from './update-text.ts';

interface Options {
  readonly kernel?: string[];
  readonly dryRun?: boolean;
  readonly root?: string;
}

export function register(program: Command): void {
  program
    .command('update')
    .description('bring every subscribed kernel to its newest live patch')
    .option('-k, --kernel <release...>', 'subscribe these kernels too')
    .option('--dry-run', 'only say what would change')
    .option('--root <folder>', 'the root of an image')
    .option('--json', 'one JSON document')
    .action(action(run));
}

async function run({ report }: Context, options: Options): Promise<Outcome> {
  const updated = await report.stage('update', () => update(options.root ?? '/', options.kernel, options.dryRun));
  const idle = updated.changes.length === 0 && updated.waiting.length === 0;
  return {
    // An image does not run: its patches wait for its boot, which is no failure.
    exit: updated.waiting.length > 0 && options.root === undefined ? 1 : idle ? 3 : 0,
    schema: 'kpatch.update/1',
    data: updated,
    text: updateText(updated),
  };
}

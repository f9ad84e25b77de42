/** `kpatch update`: updates every subscribed kernel to its newest live patch. */
import type { Command } from 'commander';
import { update } from '../../channel/follow/follow.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { updateText } from './update-text.ts';

interface Options {
  readonly kernel?: string[];
  readonly dryRun?: boolean;
  readonly root?: string;
  readonly fetched?: string;
}

export function register(program: Command): void {
  program
    .command('update')
    .description('update every subscribed kernel to its newest live patch')
    .option('-k, --kernel <release...>', 'also subscribe these kernels')
    .option('--dry-run', 'only print what would change')
    .option('--fetched <folder>', 'use what kpatch channel fetch has put there; nothing is downloaded')
    .option('--root <folder>', 'root directory of an image')
    .option('--json', 'print JSON')
    .action(action(run));
}

async function run({ report }: Context, options: Options): Promise<Outcome> {
  const fetched = options.fetched === undefined ? {} : { fetched: options.fetched };
  const updated = await report.stage('update', () =>
    update(options.root ?? '/', options.kernel, options.dryRun, report, fetched),
  );
  const idle = updated.changes.length === 0 && updated.waiting.length === 0;
  return {
    // An image is not running, so its patches wait for its next boot; that is not a failure.
    exit: updated.waiting.length > 0 && options.root === undefined ? 1 : idle ? 3 : 0,
    schema: 'kpatch.update/1',
    data: updated,
    text: updateText(updated),
  };
}

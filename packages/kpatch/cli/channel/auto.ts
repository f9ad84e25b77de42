/** `kpatch auto`: every kernel, today's and later ones, gets its live patch without asking. */
import type { Command } from 'commander';
import { auto } from '../../channel/follow/follow.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { updateText } from './update-text.ts';

export function register(program: Command): void {
  program
    .command('auto')
    .description('subscribe every installed kernel and each later one, and keep them up to date')
    .option('--root <folder>', 'the root of an image')
    .option('--json', 'one JSON document')
    .action(action(run));
}

async function run({ report }: Context, options: { root?: string }): Promise<Outcome> {
  const updated = await report.stage('subscribe', () => auto(options.root ?? '/'));
  const text = `${updateText(updated)}\nmode auto: a timer looks for new live patches, and new kernels are subscribed as they are installed`;
  return {
    exit: updated.waiting.length > 0 && options.root === undefined ? 1 : 0,
    schema: 'kpatch.update/1',
    data: { mode: 'auto', ...updated },
    text,
  };
}

/** `kpatch manual`: new kernels are no longer subscribed by themselves. */
import type { Command } from 'commander';
import { manual } from '../channel/follow/follow.ts';
import { action, type Context, type Outcome } from './command.ts';

export function register(program: Command): void {
  program
    .command('manual')
    .description('stop subscribing and updating by itself; what is subscribed stays so')
    .option('--root <folder>', 'the root of an image')
    .option('--json', 'one JSON document')
    .action(action(run));
}

async function run(_: Context, options: { root?: string }): Promise<Outcome> {
  await manual(options.root ?? '/');
  return { schema: 'kpatch.manual/1', data: { mode: 'manual' }, text: 'mode manual: update with kpatch update' };
}

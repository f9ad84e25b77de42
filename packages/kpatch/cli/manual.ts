/** `kpatch manual`: turns automatic updates off. */
import type { Command } from 'commander';
import { manual } from '../channel/follow/follow.ts';
import { action, type Context, type Outcome } from './command.ts';
import { withRoot } from './root-option.ts';

export function register(program: Command): void {
  withRoot(
    program
      .command('manual')
      .description('turn automatic updates off; current subscriptions stay')
      .option('--json', 'print JSON'),
  ).action(action(run));
}

async function run(_: Context, options: { root?: string }): Promise<Outcome> {
  await manual(options.root ?? '/');
  return { schema: 'kpatch.manual/1', data: { mode: 'manual' }, text: 'mode manual: run kpatch update to update' };
}

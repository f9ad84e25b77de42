/** `kpatch auto`: subscribes every kernel, present and future, to automatic updates. */
import type { Command } from 'commander';
import { auto } from '../../channel/follow/follow.ts';
import { timerRuns } from '../../channel/follow/units.ts';
import { fleetChoice, placeIn } from '../../fleet/choice.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { rootFolder } from '../root-option.ts';
import { updateText } from './update-text.ts';

export function register(program: Command): void {
  program
    .command('auto')
    .description('subscribe every installed kernel and every later one to automatic updates')
    .option('--root <folder>', 'root directory of an image', rootFolder)
    .option('--json', 'print JSON')
    .action(action(run));
}

async function run({ report }: Context, options: { root?: string }): Promise<Outcome> {
  const choose = fleetChoice(placeIn(options.root));
  const updated = await report.stage('subscribe', () =>
    auto(options.root ?? '/', report, choose === undefined ? {} : { choose }),
  );
  const how = timerRuns(options.root ?? '/')
    ? 'a timer checks for new live patches; new kernels are subscribed when they are installed'
    : 'systemd does not run here, so nothing checks for new live patches by itself: run kpatch update from cron';
  const text = `${updateText(updated)}\nmode auto: ${how}`;
  return {
    exit: updated.waiting.length > 0 && options.root === undefined ? 1 : 0,
    schema: 'kpatch.update/1',
    data: { mode: 'auto', ...updated },
    text,
  };
}

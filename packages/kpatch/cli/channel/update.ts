/** `kpatch update`: updates every subscribed kernel to its newest live patch. */
import type { Command } from 'commander';
import type { Reporter } from '../../base/report.ts';
import { update } from '../../channel/follow/follow.ts';
import { settleUnpacked } from '../../channel/follow/unpacked.ts';
import { fleetChoice, placeIn } from '../../fleet/choice.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { rootFolder } from '../root-option.ts';
import { updateText } from './update-text.ts';

interface Options {
  readonly kernel?: string[];
  readonly dryRun?: boolean;
  readonly root?: string;
  readonly fetched?: string;
  readonly unpacked?: boolean;
}

export function register(program: Command): void {
  program
    .command('update')
    .description('update every subscribed kernel to its newest live patch')
    .option('-k, --kernel <release...>', 'also subscribe these kernels')
    .option('--dry-run', 'only print what would change')
    .option('--fetched <folder>', 'use what kpatch channel fetch has put there; nothing is downloaded')
    .option('--unpacked', 'only compare what packages have unpacked with what is installed; their trigger runs this')
    .option('--root <folder>', 'root directory of an image', rootFolder)
    .option('--json', 'print JSON')
    .action(action(run));
}

async function run({ report }: Context, options: Options): Promise<Outcome> {
  if (options.unpacked) return settle(report, options.root ?? '/');
  const choose = fleetChoice(placeIn(options.root));
  const fetched = {
    ...(options.fetched === undefined ? {} : { fetched: options.fetched }),
    ...(choose === undefined ? {} : { choose }),
  };
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

async function settle(report: Reporter, root: string): Promise<Outcome> {
  const { installed, removed, waiting } = await settleUnpacked(root, report);
  const change = (from: string, to: string) => (one: string) => ({ package: one, from, to });
  const changes = [...installed.map(change('', 'installed')), ...removed.map(change('installed', ''))];
  const lines = [
    ...installed.map((one) => `${one}: installed`),
    ...removed.map((one) => `${one}: uninstalled`),
    ...waiting.map((one) => `not active yet: ${one}`),
  ];
  return {
    exit: waiting.length > 0 ? 1 : changes.length === 0 ? 3 : 0,
    schema: 'kpatch.update/1',
    data: { changes, unknown: [], waiting },
    text: lines.length === 0 ? 'everything that is unpacked is installed' : lines.join('\n'),
  };
}

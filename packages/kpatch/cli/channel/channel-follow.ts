/** The client side of `kpatch channel`: follow and status. */
import type { Command } from 'commander';
import { type ChannelStatus, follow, type KernelState, status } from '../../channel/follow/follow.ts';
import { supportText } from '../../channel/follow/support.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { withRoot } from '../root-option.ts';

export function registerFollow(channel: Command): void {
  withRoot(
    channel
      .command('follow <URL>')
      .description('use a channel as the source of live patches; subscribe with kpatch auto or kpatch update')
      .requiredOption(
        '--key <file>',
        'public key of the channel; compare its fingerprint with the one its owner publishes',
      )
      .option('--json', 'print JSON'),
  ).action(action(followIt));
  withRoot(
    channel
      .command('status')
      .description('show the patches of this machine and until when its kernels are supported')
      .option('--json', 'print JSON'),
  ).action(action(show));
}

interface RootOption {
  readonly root?: string;
}

async function followIt({ report }: Context, options: RootOption & { key: string }, url: string): Promise<Outcome> {
  const root = options.root ?? '/';
  const keys = await report.stage(`read ${url}`, () => follow(root, url, options.key));
  return {
    schema: 'kpatch.channel-follow/1',
    data: { url, keys },
    text: `following ${url}, signed by ${keys.join(', ')}\nnext: kpatch auto, or kpatch update --kernel RELEASE`,
  };
}

async function show(_: Context, options: RootOption): Promise<Outcome> {
  const now = await status(options.root ?? '/');
  return { exit: now.problems.length === 0 ? 0 : 1, schema: 'kpatch.channel-status/1', data: now, text: textOf(now) };
}

function textOf(now: ChannelStatus): string {
  const day = (iso: string): string => (iso === '' ? 'never' : iso.slice(0, 16).replace('T', ' '));
  return [
    `channel ${now.url} (${now.manager}, ${now.mode}${now.timer ? ', timer on' : ''})`,
    `published ${day(now.published)}, valid until ${day(now.validUntil)}, last checked ${day(now.looked)}`,
    ...now.kernels.flatMap(kernelLines),
    ...now.problems.map((problem) => `problem: ${problem}`),
  ].join('\n');
}

function kernelLines(kernel: KernelState): string[] {
  const patch = (version: string): string =>
    version.startsWith('0-') ? 'subscribed, no patch yet' : `patch ${version}`;
  const has = kernel.installed === '' ? 'not subscribed' : patch(kernel.installed);
  const more =
    kernel.available === ''
      ? ', not in this channel'
      : kernel.available === kernel.installed
        ? ''
        : `, available ${kernel.available}`;
  const loaded = kernel.loaded === '' ? '' : ', loaded';
  const lines = [`  ${kernel.running ? '*' : ' '} ${kernel.release}: ${has}${loaded}${more}`];
  if (kernel.support !== undefined) lines.push(`      ${supportText(kernel.support)}`);
  return lines;
}

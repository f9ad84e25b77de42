/** The client side of `kpatch channel`: follow and status. */
import type { Command } from 'commander';
import { failure } from '../../base/errors/error.ts';
import { status } from '../../channel/follow/follow.ts';
import { followPackages } from '../../channel/follow/packages.ts';
import { needSettings } from '../../channel/follow/settings.ts';
import type { ChannelStatus, KernelState } from '../../channel/follow/status.ts';
import { supportText } from '../../channel/follow/support.ts';
import { fetchFor, followTuf, isRootFile } from '../../channel/follow/tuf/follow.ts';
import { fleetChoice, placeIn } from '../../fleet/choice.ts';
import { readPolicyState } from '../../host/acceptance/policy.ts';
import { thisMachine } from '../../host/machine/machine.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { rootFolder } from '../root-option.ts';

export function registerFollow(channel: Command): void {
  channel
    .command('follow <URL>')
    .description('use a channel as the source of live patches; subscribe with kpatch auto or kpatch update')
    .requiredOption(
      '--key <file>',
      'root.json of the channel; compare the digest that is printed with the one its owner publishes',
    )
    .option('--packages', 'follow by apt or dnf; FILE is then the OpenPGP key, which gets all rights of root')
    .option('--root <folder>', 'root directory of an image', rootFolder)
    .option('--json', 'print JSON')
    .action(action(followIt));
  channel
    .command('fetch [RELEASE...]')
    .description('fetch and verify patches into a folder, for kpatch update --fetched; needs no rights')
    .requiredOption('--to <folder>', 'where the files go')
    .option('--root <folder>', 'root directory of an image', rootFolder)
    .option('--json', 'print JSON')
    .action(action(fetchIt));
  channel
    .command('status')
    .description('show the patches of this machine and until when its kernels are supported')
    .option('--root <folder>', 'root directory of an image', rootFolder)
    .option('--json', 'print JSON')
    .action(action(show));
}

interface RootOption {
  readonly root?: string;
}

interface FollowOptions extends RootOption {
  readonly key: string;
  readonly packages?: boolean;
}

async function followIt({ report }: Context, options: FollowOptions, url: string): Promise<Outcome> {
  const root = options.root ?? '/';
  const next = 'next: kpatch auto, or kpatch update --kernel RELEASE';
  if (options.packages) {
    const keys = await report.stage(`read ${url}`, () => followPackages(root, url, options.key));
    report.warn(
      'whoever has the key of this channel has all rights of root on this machine, because apt and dnf run the scripts of packages; without --packages this is not so',
    );
    const text = `following ${url} by packages, with the key ${keys.join(', ')}\n${next}`;
    return { schema: 'kpatch.channel-follow/1', data: { url, source: 'packages', keys }, text };
  }
  if (!isRootFile(options.key))
    throw failure('tuf-package-key', { file: options.key }, { where: { file: options.key } });
  const trusted = await report.stage(`read ${url}`, () => followTuf(root, url, options.key));
  const { channel, digest, threshold, keys } = trusted;
  if (!demandsMore(root))
    report.warn(
      'the host policy demands neither a proof nor a module signature: this machine loads every module that the channel lists (docs/policy.md)',
    );
  const text = [
    `following ${url}: channel ${channel}, ${threshold} of ${keys.length} root keys`,
    `root.json has the SHA-256 ${digest}`,
    next,
  ].join('\n');
  return { schema: 'kpatch.channel-follow/1', data: { url, source: 'tuf', keys, channel, threshold, digest }, text };
}

/** True if modules need more than the channel's own keys. */
function demandsMore(root: string): boolean {
  const state = readPolicyState(thisMachine(root));
  if (state.kind !== 'valid') return state.kind === 'unusable';
  const { proof, signature } = state.policy.rules;
  return proof.required || signature.required;
}

async function fetchIt(
  { report }: Context,
  options: RootOption & { to: string },
  kernels: readonly string[],
): Promise<Outcome> {
  const root = options.root ?? '/';
  const settings = needSettings(root);
  if (settings.source !== 'tuf')
    throw failure('usage', {
      problem: 'this machine follows its channel by packages; fetch works with root.json only',
    });
  await report.stage(`fetch ${settings.url}`, () =>
    fetchFor(root, settings, kernels, options.to, fleetChoice(placeIn(root))),
  );
  const text = `fetched into ${options.to}; use it with kpatch update --fetched ${options.to}`;
  return { schema: 'kpatch.channel-fetch/1', data: { to: options.to }, text };
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

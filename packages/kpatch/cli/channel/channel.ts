/** `kpatch channel`: creates, fills, publishes, verifies and prunes a channel; follows one. */
import type { Command } from 'commander';
import { registerFollow } from './channel-follow.ts';
import { registerInit } from './channel-init.ts';
import { registerPublish } from './channel-publish.ts';
import { registerTuf } from './channel-tuf.ts';

export function register(program: Command): void {
  const channel = program
    .command('channel')
    .description('publish live patches as TUF, apt and dnf repositories, or follow such a channel');
  registerInit(channel);
  registerPublish(channel);
  registerTuf(channel);
  registerFollow(channel);
}

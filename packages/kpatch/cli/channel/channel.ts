/** `kpatch channel`: make, fill, publish, check and prune a channel; follow one and see how far it has got. */
import type { Command } from 'commander';
import { registerFollow } from './channel-follow.ts';
import { registerPublish } from './channel-publish.ts';

export function register(program: Command): void {
  const channel = program
    .command('channel')
    .description('publish live patches as apt and dnf repositories, and follow such a channel');
  registerPublish(channel);
  registerFollow(channel);
}

/** The machine's side of `kpatch channel`. */
import type { Command } from 'commander';

export function registerFollow(_channel: Command): void {}

/** The version that a source tree states in its Makefile: the release string of a distribution need not have it. */
import { join } from 'node:path';
import { readBytes } from '../util/files.ts';
import type { KernelVersion } from './release.ts';

/** VERSION, PATCHLEVEL and SUBLEVEL of the top Makefile: { 6, 1, 192 }. Error: `file-unreadable`. Missing lines count as 0. */
export function sourceVersionOf(tree: string): KernelVersion {
  const text = readBytes(join(tree, 'Makefile')).toString('utf8', 0, 4096);
  const number = (name: string): number => Number(new RegExp(`^${name}\\s*=\\s*(\\d+)`, 'm').exec(text)?.[1] ?? 0);
  return { major: number('VERSION'), minor: number('PATCHLEVEL'), patch: number('SUBLEVEL') };
}

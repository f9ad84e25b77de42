/** The version that a source tree states in its Makefile: the release string of a distribution need not have it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readBytes } from '../../base/files.ts';
import type { KernelVersion } from '../../kernel/release.ts';

/**
 * VERSION, PATCHLEVEL and SUBLEVEL of the top Makefile: { 6, 1, 192 }. Error: `file-unreadable`. Missing lines count as 0.
 */
export function sourceVersionOf(tree: string): KernelVersion {
  const text = readBytes(join(tree, 'Makefile')).toString('utf8', 0, 4096);
  const number = (name: string): number => Number(new RegExp(`^${name}\\s*=\\s*(\\d+)`, 'm').exec(text)?.[1] ?? 0);
  return { major: number('VERSION'), minor: number('PATCHLEVEL'), patch: number('SUBLEVEL') };
}

/** The version of headers; `atLeast` if a number that saturates is all that they state. */
export interface BuiltVersion extends KernelVersion {
  readonly atLeast: boolean;
}

/** The version that the headers were generated for (LINUX_VERSION_CODE); undefined if the file is not there. */
export function builtVersionOf(headers: string): BuiltVersion | undefined {
  const path = join(headers, 'include/generated/uapi/linux/version.h');
  if (!existsSync(path)) return undefined;
  const code = Number(/LINUX_VERSION_CODE\s+(\d+)/.exec(readBytes(path).toString())?.[1] ?? Number.NaN);
  if (Number.isNaN(code)) return undefined;
  const text = readBytes(path).toString();
  // The lowest byte of the code saturates at 255 (Linux 4.4.256, 4.9.256, commit 9b82f13e7ef3); later kernels also state the
  // number whole.
  const stated = /LINUX_VERSION_SUBLEVEL\s+(\d+)/.exec(text)?.[1];
  const patch = Number(stated ?? code & 0xff);
  return { major: code >> 16, minor: (code >> 8) & 0xff, patch, atLeast: stated === undefined && patch === 255 };
}

/** True if headers of this version can belong to a source of that version. */
export function sameVersion(built: BuiltVersion, source: KernelVersion): boolean {
  if (built.major !== source.major || built.minor !== source.minor) return false;
  return built.atLeast ? source.patch >= built.patch : source.patch === built.patch;
}

/** `6.1.192`. */
export function versionText({ major, minor, patch }: KernelVersion): string {
  return `${major}.${minor}.${patch}`;
}

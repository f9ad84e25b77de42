/** Options that say where a target kernel and its compiler come from, shared by build, prove and kernel add. */
import type { Command } from 'commander';
import { parseDistribution } from '../../distro/registry.ts';
import type { KernelSource } from '../../prepare/choice.ts';

export interface KernelSourceOptions {
  readonly distribution?: string;
  readonly mirror?: string;
  readonly allowExpired?: boolean;
  readonly localCompiler?: boolean;
}

/** Adds the options to a command. */
export function withKernelSource(command: Command): Command {
  return command
    .option(
      '--distribution <id:version>',
      'distribution release of the kernel if its name does not tell: ID and VERSION_ID of os-release',
    )
    .option('--mirror <url>', 'take packages from this archive (default: KPATCH_MIRROR, or the mirror of this machine)')
    .option('--allow-expired', 'accept package lists that have expired')
    .option('--local-compiler', 'compile with the compiler of this machine, not in the build root of the distribution');
}

/** What the options say. Error: `usage`. */
export function kernelSource(options: KernelSourceOptions): KernelSource {
  const { distribution, mirror, allowExpired, localCompiler } = options;
  return {
    ...(distribution === undefined ? {} : { distribution: parseDistribution(distribution) }),
    ...(mirror === undefined ? {} : { mirror }),
    allowExpired: allowExpired === true,
    localCompiler: localCompiler === true,
  };
}

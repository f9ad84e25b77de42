/** The target kernel, as far as checking a module needs it. */
import type { KernelConfig } from '../../kernel/config.ts';
import type { Symvers } from '../../kernel/symvers.ts';
import type { TargetKernel } from '../../kernel/target.ts';
import type { ObjectSymbol } from '../../prepare/facts.ts';

/** What must be known of the target; `KernelFacts` has all of it. */
export interface CheckTarget {
  readonly kernel: Pick<TargetKernel, 'release' | 'buildId'>;
  readonly config: Pick<KernelConfig, 'has'>;
  readonly symvers: Symvers;
  symbolsOf(object: string): Promise<readonly ObjectSymbol[]>;
}

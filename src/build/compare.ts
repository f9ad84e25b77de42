/** The compiled pairs of a build, compared: one difference for each unit and object that changes. */
import type { KernelRules } from '../arch/arch.ts';
import { diff } from '../diff/diff.ts';
import type { DiffOptions, DiffResult } from '../diff/options.ts';
import type { KernelFacts } from '../kernel/facts.ts';
import type { CompiledPair } from './pairs.ts';
import type { Unit } from './plan.ts';

export interface Difference {
  readonly unit: Unit;
  /** `vmlinux` or a module. */
  readonly object: string;
  readonly result: DiffResult;
}

/** What the differ has to know of the kernel. */
export function kernelRules({ kernel, config }: KernelFacts): KernelRules {
  const { major, minor } = kernel.version;
  return { major, minor, config: (name) => ['y', 'm'].includes(config.get(name) ?? 'n') };
}

/**
 * Compares all pairs; those without a difference are not in the result. A unit of several modules is compared for each.
 * Errors: those of the differ.
 */
export async function comparePairs(
  facts: KernelFacts,
  pairs: readonly CompiledPair[],
  options: Pick<DiffOptions, 'keepLineChanges'>,
): Promise<Difference[]> {
  const differences: Difference[] = [];
  for (const { unit, original, patched } of pairs) {
    if (Buffer.compare(original.bytes, patched.bytes) === 0) continue;
    for (const { object } of unit.owners) {
      const result = diff(original.bytes, patched.bytes, {
        names: { original: `${unit.object} (original)`, patched: `${unit.object} (patched)` },
        object,
        kernel: kernelRules(facts),
        exported: (name) => exportOf(facts, name),
        symbols: await facts.symbolsOf(object),
        ...options,
      });
      if (result.status === 'changed') differences.push({ unit, object, result });
    }
  }
  return differences;
}

function exportOf(facts: KernelFacts, name: string): ReturnType<DiffOptions['exported']> {
  const found = facts.symvers.get(name);
  if (found === undefined) return undefined;
  const { module, exportType, namespace } = found;
  return { module, gpl: exportType.endsWith('_GPL'), ...(namespace === undefined ? {} : { namespace }) };
}

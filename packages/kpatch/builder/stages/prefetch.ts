/** Reads what the stages after compiling need, while the compilers run: this process has nothing else to do then. */
import type { KernelFacts } from '../../prepare/facts.ts';

/**
 * Loads the code of the second half and the symbols of the kernel. An error is no error here: it comes again, with its own
 * message, where the thing is needed.
 */
export async function prefetch(facts: KernelFacts): Promise<void> {
  const steps = [
    () => import('./second-half.ts'),
    () => facts.symbolsOf('vmlinux'),
    () => facts.symvers,
    () => facts.image,
    () => facts.rules(),
    () => facts.includes(),
  ];
  for (const step of steps) {
    // In between, what the compilers report is taken.
    await new Promise((resolve) => setImmediate(resolve));
    try {
      await step();
    } catch {
      // see above
    }
  }
}

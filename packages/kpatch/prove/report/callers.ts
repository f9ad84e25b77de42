/** Finds the callers of a function of vmlinux: direct calls and jumps in code, pointers in data. */
import type { KernelImage } from '../../kernel/image.ts';
import type { Kallsyms } from '../../kernel/kallsyms/kallsyms.ts';

export interface CallPlace {
  readonly name: string;
  /** `pointer`: it is called through a table that contains its address. */
  readonly by: 'call' | 'pointer';
}

/** The callers by name, without duplicates, in address order. One pass over the image (about 50 MB) for all targets. */
export function callersOf(
  image: KernelImage,
  kallsyms: Kallsyms,
  targets: readonly bigint[],
): Map<bigint, CallPlace[]> {
  const found = new Map<bigint, Map<string, CallPlace>>(targets.map((target) => [target, new Map()]));
  const add = (target: bigint, at: bigint, by: CallPlace['by']): void => {
    const name = kallsyms.symbolOf(at)?.name;
    const callers = found.get(target);
    // Tables that list every function of the kernel do not show callers.
    if (name !== undefined && /^(__start_|__stop_|__ksym|__param|orc_|kallsyms_)/.test(name)) return;
    if (name !== undefined && callers !== undefined && !callers.has(name)) callers.set(name, { name, by });
  };
  for (const { address, size, offset, hasBytes, executable } of image.sections) {
    if (!hasBytes) continue;
    const bytes = image.bytes.subarray(offset, offset + size);
    const references = image.platform.listing?.references({ bytes, address, executable }, targets) ?? [];
    for (const { at, target, by } of references) add(target, at, by);
  }
  return new Map([...found].map(([target, callers]) => [target, [...callers.values()]]));
}

/** Warns of functions that some task may never leave: the transition of a patch that replaces one may not complete. */

import type { ObjectFile } from '../../formats/elf/object-file.ts';
import { neverLeft, threadMains, threadMainWarning } from '../../module/always-on-stack.ts';

interface ReplacedFunction {
  readonly object: string;
  readonly name: string;
  readonly kind: string;
}

/** One sentence for each such function. */
export function stackWarnings(
  functions: readonly ReplacedFunction[],
  differences: readonly { readonly original: ObjectFile }[],
): string[] {
  const changed = functions.filter(({ kind }) => kind === 'changed');
  const always = changed.flatMap(({ object, name }) => {
    const why = neverLeft(object, name);
    return why === undefined ? [] : [`the transition will not complete: ${name} is replaced, and ${why}`];
  });
  const names = new Set(changed.map(({ name }) => name));
  const mains = differences.flatMap(({ original }) => threadMains(original.object, names));
  return [...always, ...[...new Set(mains)].map(threadMainWarning)];
}

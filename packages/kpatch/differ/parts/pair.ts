/** The two compared objects and the findings. */
import type { DiffOptions, LeftOutChange, Reason } from '../options.ts';
import type { Refusals } from '../select/refusals.ts';
import type { Model, Part } from './part.ts';
import type { Entries } from './tables/tables.ts';

export interface Pair {
  readonly original: Model;
  readonly patched: Model;
  readonly entries: readonly [Entries, Entries];
  readonly options: DiffOptions;
  readonly refusals: Refusals;
  readonly notes: string[];
  /** Changes that have no effect in a running kernel. */
  readonly leftOut: LeftOutChange[];
}

/** Notes a reason why a function changed. */
export function note(changed: Map<Part, Reason[]>, part: Part, reason: Reason): void {
  const list = changed.get(part);
  if (list === undefined) changed.set(part, [reason]);
  else list.push(reason);
}

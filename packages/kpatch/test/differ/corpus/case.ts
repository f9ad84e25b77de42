/** One case of the corpus: two versions of a source and what the differ has to say of them. */
import type { DiffOptions, DiffResult } from '#kpatch/differ/options.ts';
import type { Target } from './targets.ts';

export interface Case {
  readonly name: string;
  readonly before: string;
  /** The patched source, or replacements in the original one: pairs of old and new text. */
  readonly after: string | readonly (readonly [string, string])[];
  /** `changed f`, `new g` (names without suffixes of the compiler), or the code of a refusal. */
  readonly expect: readonly string[] | string | ((target: Target) => readonly string[] | string);
  /** Where nothing is expected to change: the result's status, default `unchanged`. */
  readonly status?: DiffResult['status'];
  /** Targets that the case is about; all where it is absent. */
  readonly on?: (target: Target) => boolean;
  readonly flags?: readonly string[];
  /** Each has to match a note of the result. */
  readonly notes?: readonly RegExp[];
  readonly object?: string;
  readonly options?: Partial<DiffOptions>;
  readonly kernel?: { readonly major: number; readonly minor: number };
  /** Names that the kernel has beside those of the original. */
  readonly elsewhere?: readonly string[];
  readonly exports?: readonly string[];
  readonly check?: (result: DiffResult, target: Target) => void;
}

export function patchedOf({ name, before, after }: Case): string {
  if (typeof after === 'string') return after;
  return after.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`case ${name}: the original has no ${from}`);
    return text.replace(from, () => to);
  }, before);
}

export const onGcc = ({ clang }: Target): boolean => !clang;
export const onArch =
  (...names: readonly Target['arch'][]) =>
  ({ arch }: Target): boolean =>
    names.includes(arch);

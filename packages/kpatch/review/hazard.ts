/** A kind of hazard and what it finds. */
import type { Change } from './change.ts';

export interface Hazard {
  /** Name of the kind, see docs/review.md. */
  readonly kind: HazardKindName;
  /** Such as `net/a.c:120`, in the patched file unless the text says otherwise. */
  readonly place: string;
  readonly function: string;
  /** What is wrong, one sentence without a full stop. */
  readonly reason: string;
  /** What to do about it, in the imperative. */
  readonly remedy: string;
}

export const kindNames = [
  'stored-value',
  'lock-change',
  'reference-change',
  'registered',
  'uninitialised',
  'constant',
  'never-left',
  'exported',
  'together',
] as const;

export type HazardKindName = (typeof kindNames)[number];

export interface HazardKind {
  readonly kind: HazardKindName;
  /** What it looks for, one sentence. */
  readonly title: string;
  find(change: Change): Hazard[];
}

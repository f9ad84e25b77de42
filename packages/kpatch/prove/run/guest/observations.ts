/** Observations of the checks in a guest, as plain data. */
import type { ReplacedFunction } from '../../../module/tables.ts';

/** A sample of a transition: seconds since its start and the number of tasks that have not switched. */
export interface TransitionPoint {
  readonly seconds: number;
  readonly tasks: number;
}

export interface Transition {
  readonly seconds: number;
  readonly points: readonly TransitionPoint[];
}

export interface CallCount {
  readonly func: ReplacedFunction;
  /** Undefined if no probe could be set. */
  readonly count: number | undefined;
  readonly problem?: string;
}

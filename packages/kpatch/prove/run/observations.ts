/** What the checks of a proof observe in a guest, as plain data. */
import type { PatchedFunction } from '../input/subject.ts';

/** One look at a transition: seconds since its start and tasks that have not changed sides. */
export interface TransitionPoint {
  readonly seconds: number;
  readonly tasks: number;
}

export interface Transition {
  readonly seconds: number;
  readonly points: readonly TransitionPoint[];
}

export interface CallCount {
  readonly func: PatchedFunction;
  /** Undefined where no probe could be set. */
  readonly count: number | undefined;
  readonly problem?: string;
}

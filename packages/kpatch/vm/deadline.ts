/** Deadlines of guests, which share the processors of this machine. */
import { availableParallelism, loadavg } from 'node:os';

/**
 * How much slower than alone a guest may be now: processes that wait for each processor of this machine, from 1 to 6. All
 * deadlines are stretched by it, so that what is slow is not taken for what hangs.
 */
export function busyness(): number {
  return Math.min(6, Math.max(1, (loadavg()[0] ?? 0) / availableParallelism()));
}

/** A deadline in milliseconds as it is on this machine now: in whole seconds where it is stretched. */
export function stretched(deadlineMs: number): number {
  const factor = busyness();
  return factor === 1 ? deadlineMs : Math.ceil((deadlineMs * factor) / 1000) * 1000;
}

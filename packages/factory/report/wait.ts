/** The time from the publication of a record to a live patch. */
import { plural } from 'kpatch/parts';

const HOUR_MS = 3_600_000;

/** Milliseconds; undefined if a time is missing or the patch was first. */
export function waitOf(published: string | undefined, patched: string | undefined): number | undefined {
  const [from, to] = [Date.parse(published ?? ''), Date.parse(patched ?? '')];
  return to >= from ? to - from : undefined;
}

export interface Waits {
  readonly count: number;
  /** Milliseconds. */
  readonly median: number;
  /** One of ten takes longer. */
  readonly ninetieth: number;
}

/** Undefined without any. */
export function waitsOf(all: readonly number[]): Waits | undefined {
  if (all.length === 0) return undefined;
  const sorted = [...all].sort((a, b) => a - b);
  const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)]!;
  return { count: sorted.length, median: at(0.5), ninetieth: at(0.9) };
}

/** Such as `3 hours` or `12 days`. */
export function waitText(ms: number): string {
  const hours = Math.floor(ms / HOUR_MS);
  if (hours < 1) return 'less than an hour';
  return hours < 48 ? plural(hours, 'hour') : plural(Math.floor(hours / 24), 'day');
}

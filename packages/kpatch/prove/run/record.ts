/** The result of a plan: a record for each check and each boot, and the verdict. */
import type { Evidence, Outcome, Verdict } from './event.ts';

/** The record of one boot: its console and how it ran. */
export interface BootRecord {
  readonly boot: string;
  readonly title: string;
  readonly acceleration: string;
  /** Until the guest took commands, milliseconds. */
  readonly bootMs: number;
  /** SHA-256 of the kept guest that was resumed; absent if the kernel was booted. */
  readonly kept?: string;
  /** ISO 8601, UTC: when this boot ended, if it ran before the proof was interrupted. */
  readonly ran?: string;
  readonly console: string;
}

export interface CheckRecord {
  readonly check: string;
  readonly boot: string;
  readonly title: string;
  readonly outcome: Outcome;
  readonly reason?: string;
  readonly evidence: readonly Evidence[];
  readonly ms: number;
}

export interface PlanResult {
  readonly verdict: Verdict;
  readonly reasons: readonly string[];
  /** In the order of the plan, even if boots ran in parallel. */
  readonly checks: readonly CheckRecord[];
  readonly boots: readonly BootRecord[];
  readonly ms: number;
}

/** True for a record of the check with this id, in whatever boot. */
export function isRecordOf({ check, boot }: Pick<CheckRecord, 'check' | 'boot'>, id: string): boolean {
  return check === keyOf(boot, id);
}

/** The same check can run in several boots; the key identifies one of them. */
export function keyOf(boot: string, id: string): string {
  return `${boot}/${id}`;
}

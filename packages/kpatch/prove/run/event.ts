/** The events of a running plan, in order. Proof, report and live view are all derived from them. */
import type { KpatchError } from '../../base/errors/error.ts';

export interface Evidence {
  /** One sentence or a short fact. */
  readonly text: string;
  /** Data for programs. */
  readonly data?: object;
  /** True for values that differ between runs: times, counts, addresses. */
  readonly varies?: boolean;
  /** Longer text such as the output of a script; shown folded. */
  readonly detail?: string;
}

/** `held`: the claim was true; `failed`: it was false; `not run`: skipped because of an earlier failure. */
export type Outcome = 'held' | 'failed' | 'not run';

export type ProofEvent =
  | { readonly type: 'plan'; readonly plan: string; readonly release: string; readonly checks: readonly CheckHead[] }
  | { readonly type: 'boot'; readonly boot: string; readonly title: string }
  | {
      readonly type: 'booted';
      readonly boot: string;
      readonly acceleration: string;
      readonly ms: number;
      /** SHA-256 of the kept guest that was resumed; absent if the kernel was booted. */
      readonly kept?: string;
    }
  | { readonly type: 'begin'; readonly check: string; readonly boot: string; readonly title: string }
  | ({ readonly type: 'evidence'; readonly check: string } & Evidence)
  /** `check` is `BOOT/` for events of the boot as a whole. */
  | { readonly type: 'progress'; readonly check: string; readonly text: string }
  | {
      readonly type: 'end';
      readonly check: string;
      readonly outcome: Outcome;
      readonly reason?: string;
      readonly ms: number;
    }
  | { readonly type: 'console'; readonly boot: string; readonly line: string }
  | { readonly type: 'verdict'; readonly verdict: Verdict; readonly reasons: readonly string[]; readonly ms: number };

export interface CheckHead {
  readonly check: string;
  readonly boot: string;
  readonly title: string;
}

/** `proven except NAMES`: everything that was tried held, and these modules could not be run. */
export type Verdict = 'proven' | 'not proven' | `proven except ${string}`;

/** Thrown by a check whose claim is false. */
export class ClaimFailed extends Error {
  readonly detail: string | undefined;
  constructor(reason: string, detail?: string) {
    super(reason);
    this.name = 'ClaimFailed';
    this.detail = detail;
  }
}

/** Errors of a guest that are caused by the patch, not by this machine. */
export function isGuestEnd(error: KpatchError): boolean {
  return ['guest-panicked', 'guest-hung', 'guest-ended', 'guest-not-booted', 'guest-silent'].includes(error.code);
}

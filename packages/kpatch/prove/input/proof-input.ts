/** What a proof is made of. */
import type { GuestFiles } from '../../vm/initramfs.ts';
import type { Plan, ProofKernel, StaticSession } from '../run/check.ts';
import type { ProofEvent } from '../run/event.ts';
import type { Subject } from './subject.ts';
import type { TestScript } from './test-script.ts';
import type { UserCheck } from './user-check.ts';

export interface ProofInput {
  readonly subject: Subject;
  readonly predecessors: readonly Subject[];
  readonly kernel: ProofKernel;
  readonly test: TestScript | undefined;
  readonly plan: Plan;
  /** This program as files of a guest; without it the boot path is not looked at. */
  readonly program?: GuestFiles;
  /** Checks that the user wrote; they are run with the patch loaded. */
  readonly userChecks?: readonly UserCheck[];
  /** Further files for the guest, by their path there. */
  readonly files?: GuestFiles;
  /** Boots that run at once; 1 unless told. */
  readonly guests?: number;
  /** Where kept guests are, and whether to boot all the same; without it each guest is booted. */
  readonly kept?: { readonly folder: string; readonly cold?: boolean };
  readonly onEvent: (event: ProofEvent) => void;
  readonly signal?: AbortSignal;
}

/** What checks know that look at files only; `key` names the check in its events. */
export function staticSession(input: ProofInput, key: string): StaticSession {
  const { subject, predecessors, kernel, test, program, onEvent } = input;
  const progress = (text: string): void => onEvent({ type: 'progress', check: key, text });
  return { subject, predecessors, kernel, test, program, progress };
}

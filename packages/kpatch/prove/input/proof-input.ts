/** The input of a proof. */
import type { GuestFiles } from '../../vm/files/initramfs.ts';
import type { Plan, ProofKernel, StaticSession } from '../run/check.ts';
import type { ProofEvent } from '../run/event.ts';
import type { ProofJournal } from '../run/journal.ts';
import type { Subject } from './subject.ts';
import type { TestScript } from './test-script.ts';
import type { UserCheck } from './user-check.ts';

export interface ProofInput {
  readonly subject: Subject;
  readonly predecessors: readonly Subject[];
  readonly kernel: ProofKernel;
  readonly test: TestScript | undefined;
  readonly plan: Plan;
  /** kpatch as files for a guest; without it the boot path is not checked. */
  readonly program?: GuestFiles;
  /** Checks of the user; they run while the patch is loaded. */
  readonly userChecks?: readonly UserCheck[];
  /** More files for the guest, by their path there. */
  readonly files?: GuestFiles;
  /** Number of boots to run at once (default: 1). */
  readonly guests?: number;
  /** Where kept guests are, and whether to boot all the same; without it each guest is booted. */
  readonly kept?: { readonly folder: string; readonly cold?: boolean };
  /** Where finished boots of an interrupted proof are; without it every boot runs. */
  readonly journal?: ProofJournal;
  readonly onEvent: (event: ProofEvent) => void;
  readonly signal?: AbortSignal;
}

/** With what the boots of one proof share. */
export interface RunInput extends ProofInput {
  readonly exceptions: Map<string, string>;
  readonly stockComplaints: Set<string>;
}

/** Context of checks that only read files; `key` names the check in its events. */
export function staticSession(input: ProofInput, key: string): StaticSession {
  const { subject, predecessors, kernel, test, program, onEvent } = input;
  const progress = (text: string): void => onEvent({ type: 'progress', check: key, text });
  return { subject, predecessors, kernel, test, program, progress };
}

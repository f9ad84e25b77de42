/** Runs one check and turns its evidence into events and a record. */
import { KpatchError } from '../../base/errors/error.ts';
import type { Check } from './check.ts';
import { ClaimFailed, type Evidence, isGuestEnd, type Outcome, type ProofEvent } from './event.ts';
import { type CheckRecord, keyOf } from './record.ts';

export interface CheckRun {
  readonly record: CheckRecord;
  /** The guest is gone: it panicked, hung or stopped. */
  readonly gone: boolean;
}

export interface CheckContext {
  readonly boot: string;
  readonly onEvent: (event: ProofEvent) => void;
  /** True for a check of the user: anything it throws is a failure of the check. In a built-in check it would be a bug. */
  readonly isOfUser: (check: Check) => boolean;
}

/** `run` gets the key of the check. Errors: those of this machine, not of the patch. */
export async function runCheck(
  check: Check,
  { boot, onEvent, isOfUser }: CheckContext,
  run: (key: string) => AsyncGenerator<Evidence, void>,
): Promise<CheckRun> {
  const key = keyOf(boot, check.id);
  const { title } = check;
  const start = performance.now();
  const evidence: Evidence[] = [];
  const see = (seen: Evidence): void => {
    evidence.push(seen);
    onEvent({ type: 'evidence', check: key, ...seen });
  };
  let outcome: Outcome = 'held';
  let gone = false;
  let why: { reason?: string } = {};
  onEvent({ type: 'begin', check: key, boot, title });
  try {
    for await (const seen of run(key)) see(seen);
  } catch (error) {
    gone = error instanceof KpatchError && isGuestEnd(error);
    const finding = error instanceof ClaimFailed || (isOfUser(check) && !(error instanceof KpatchError));
    if (!(error instanceof Error) || !(gone || finding)) throw error;
    outcome = 'failed';
    why = { reason: error.message };
    const { detail } = error as ClaimFailed;
    if (detail !== undefined && detail.trim() !== '') see({ text: 'output', detail, varies: true });
  }
  const ms = performance.now() - start;
  onEvent({ type: 'end', check: key, outcome, ...why, ms });
  return { record: { check: key, boot, title, outcome, ...why, evidence, ms }, gone };
}

/** Records for checks that are skipped because of an earlier failure. */
export function notRun(
  checks: readonly Check[],
  reason: string,
  { boot, onEvent }: Pick<CheckContext, 'boot' | 'onEvent'>,
): CheckRecord[] {
  return checks.map(({ id, title }) => {
    const check = keyOf(boot, id);
    onEvent({ type: 'end', check, outcome: 'not run', reason, ms: 0 });
    return { check, boot, title, outcome: 'not run', reason, evidence: [], ms: 0 };
  });
}

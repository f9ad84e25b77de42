/** Runs a plan for one module on one kernel and reports everything as events. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { failure } from '../../base/errors/error.ts';
import { type ProofInput, type RunInput, staticSession } from '../input/proof-input.ts';
import { trimmed } from '../plans.ts';
import type { Check, GuestCheck, PlannedBoot, StaticCheck } from './check.ts';
import type { CheckHead } from './event.ts';
import type { FinishedBoot } from './journal.ts';
import { type CheckRecord, keyOf, type PlanResult } from './record.ts';
import { type BootRun, runBoot } from './run-boot.ts';
import { notRun, runCheck } from './run-check.ts';

/** The id of the group of checks that only read files. */
export const FILES = 'files';

/**
 * Runs the plan to completion. Faults of the patch are in the result; they are not errors.
 * Errors (of this machine, not of the patch): `tool-missing`, `busybox-missing`, `guest-memory`, `guest-module`,
 * `file-unreadable`, `disk-full`, `interrupted`.
 */
export async function runPlan(given: ProofInput): Promise<PlanResult> {
  const input: RunInput = { ...given, exceptions: new Map(), stockComplaints: new Set() };
  const { kernel, subject, onEvent } = input;
  if (subject.release !== kernel.release) {
    throw failure('prove-other-kernel', { file: subject.file, built: subject.release, wanted: kernel.release });
  }
  const begun = performance.now();
  const plan = trimmed(input.plan, staticSession(input, ''));
  const applies = (check: Check): boolean => check.applies?.(staticSession(input, '')) !== false;
  const statics = plan.statics.filter(applies);
  const boots = plan.boots.map((planned) => ({ planned, checks: planned.checks.filter(applies) }));
  const head = (boot: string, { id, title }: Check): CheckHead => ({ check: keyOf(boot, id), boot, title });
  const heads = [
    ...statics.map((check) => head(FILES, check)),
    ...boots.flatMap(({ planned, checks }) => checks.map((check) => head(planned.id, check))),
  ];
  onEvent({ type: 'plan', plan: plan.name, release: kernel.release, checks: heads });
  const found = new Map<StaticCheck, CheckRecord>();
  await lookAtFiles(statics.filter(isNeeded), input, found);
  const fits = [...found.values()].every(({ outcome }) => outcome === 'held');
  // Guests are independent of each other: prepare the others while the first one boots.
  const others = lookAtFiles(
    statics.filter((check) => !isNeeded(check)),
    input,
    found,
  );
  // Awaited below; until then an error must not end the process.
  others.catch(() => {});
  const ran = fits
    ? await runBoots(boots, input)
    : boots.map(
        ({ planned, checks }): BootRun => ({
          checks: notRun(checks, 'the module does not fit this kernel', { boot: planned.id, onEvent }),
        }),
      );
  await others;
  given.journal?.remove(plan.boots);
  const records = [...statics.map((check) => found.get(check)!), ...ran.flatMap(({ checks }) => checks)];
  return resultOf(records, ran, input, begun);
}

const isNeeded = (check: StaticCheck): boolean => check.needed === true;

async function lookAtFiles(
  statics: readonly StaticCheck[],
  input: ProofInput,
  found: Map<StaticCheck, CheckRecord>,
): Promise<void> {
  const context = { boot: FILES, onEvent: input.onEvent, isOfUser: () => false };
  for (const check of statics) {
    // Let pending guest output be read between two of them.
    await nextTurn();
    const { record } = await runCheck(check, context, (key) => check.run(staticSession(input, key)));
    found.set(check, record);
  }
}

interface ChosenBoot {
  readonly planned: PlannedBoot;
  readonly checks: readonly GuestCheck[];
}

/** Runs the boots, several at once, started in the order of the plan; the results are in that order too. */
async function runBoots(boots: readonly ChosenBoot[], input: RunInput): Promise<BootRun[]> {
  const { guests = 1, onEvent, journal } = input;
  const ran: Promise<BootRun>[] = [];
  /** The plan lists the boot that installs before the one that needs its store. */
  const installed = async (): Promise<Uint8Array | undefined> => {
    const at = boots.findIndex(({ planned }) => planned.system === 'install');
    return (await ran[at])?.store;
  };
  const runOne = async (chosen: ChosenBoot): Promise<BootRun> => {
    const before = journal?.finished(chosen.planned.id);
    if (before !== undefined) return replayed(before, input);
    const done = await runAnew(chosen);
    const { exceptions, stockComplaints } = input;
    if (done.boot !== undefined) journal?.record({ ...done, boot: done.boot, exceptions, stockComplaints });
    return done;
  };
  const runAnew = async ({ planned, checks }: ChosenBoot): Promise<BootRun> => {
    if (planned.system !== 'reboot') return runBoot(planned, checks, input);
    const store = await installed();
    if (store !== undefined) return runBoot(planned, checks, input, store);
    return { checks: notRun(checks, 'the patch was not installed', { boot: planned.id, onEvent }) };
  };
  const waiting = [...boots.keys()];
  let failed = false;
  const lane = async (): Promise<void> => {
    for (let at = waiting.shift(); at !== undefined && !failed; at = waiting.shift()) {
      ran[at] = runOne(boots[at]!);
      await ran[at];
    }
  };
  const lanes = Array.from({ length: Math.max(1, guests) }, async () => {
    try {
      await lane();
    } catch (error) {
      failed = true;
      throw error;
    }
  });
  // Wait for the guests of the other lanes before throwing the error.
  const ends = await Promise.allSettled(lanes);
  const broken = ends.find((end) => end.status === 'rejected');
  if (broken !== undefined) throw broken.reason;
  return Promise.all(ran);
}

/** Reports a boot that ran before the proof was interrupted as if it ran now. */
function replayed({ checks, boot, store, exceptions, stockComplaints }: FinishedBoot, input: RunInput): BootRun {
  const { onEvent } = input;
  const { boot: id, title, acceleration, bootMs, kept } = boot;
  for (const [module, reason] of exceptions) input.exceptions.set(module, reason);
  for (const line of stockComplaints) input.stockComplaints.add(line);
  onEvent({ type: 'boot', boot: id, title });
  onEvent({ type: 'booted', boot: id, acceleration, ms: bootMs, ...(kept === undefined ? {} : { kept }) });
  onEvent({ type: 'progress', check: keyOf(id, ''), text: `done before the interruption, at ${boot.ran}` });
  for (const { check, boot, title, outcome, evidence, ms } of checks) {
    onEvent({ type: 'begin', check, boot, title });
    for (const seen of evidence) onEvent({ type: 'evidence', check, ...seen });
    onEvent({ type: 'end', check, outcome, ms });
  }
  return { checks, boot, ...(store === undefined ? {} : { store }) };
}

function resultOf(
  checks: readonly CheckRecord[],
  ran: readonly BootRun[],
  { onEvent, exceptions }: RunInput,
  begun: number,
): PlanResult {
  const reasons = checks.flatMap(({ outcome, title, reason }) =>
    outcome === 'failed' ? [`${title}: ${reason ?? 'no'}`] : [],
  );
  const names = [...exceptions.keys()].sort().join(', ');
  const held = checks.every(({ outcome }) => outcome === 'held');
  const verdict = held ? (names === '' ? 'proven' : (`proven except ${names}` as const)) : 'not proven';
  const ms = performance.now() - begun;
  onEvent({ type: 'verdict', verdict, reasons, ms });
  const boots = ran.flatMap(({ boot }) => (boot === undefined ? [] : [boot]));
  return { verdict, reasons, checks, boots, ms };
}

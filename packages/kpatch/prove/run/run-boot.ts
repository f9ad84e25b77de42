/** Runs one boot of a plan: starts a guest and runs the checks in it, in order. */
import { KpatchError } from '../../base/errors/error.ts';
import { initScript } from '../../vm/agent/agent.ts';
import { type BootOptions, boot } from '../../vm/boot.ts';
import type { GuestFile } from '../../vm/files/initramfs.ts';
import type { Guest } from '../../vm/guest.ts';
import { bootKept } from '../../vm/kept/kept.ts';
import { emulatorFor } from '../../vm/qemu/emulator.ts';
import { type RunInput, staticSession } from '../input/proof-input.ts';
import type { BootState, Check, GuestCheck, PlannedBoot, Session } from './check.ts';
import { isGuestEnd } from './event.ts';
import { bootService, STORE_ARCHIVE } from './guest/boot-service.ts';
import { guestPath } from './guest/livepatch.ts';
import { standIns } from './guest/targets.ts';
import { type BootRecord, type CheckRecord, keyOf } from './record.ts';
import { type CheckContext, notRun, runCheck } from './run-check.ts';

export interface BootRun {
  readonly checks: readonly CheckRecord[];
  /** Absent if no guest was started. */
  readonly boot?: BootRecord;
  /** The store as a tar archive, if the boot installed the patch. */
  readonly store?: Uint8Array;
}

/** A guest whose init loads patches is up only when they are loaded, and a transition may take long. */
const SERVICE_DEADLINE_MS = 300_000;

/** `store` comes from an earlier boot that installed the patch. Errors: those of this machine, as for `boot`. */
export async function runBoot(
  planned: PlannedBoot,
  checks: readonly GuestCheck[],
  input: RunInput,
  store?: Uint8Array,
): Promise<BootRun> {
  const { onEvent, userChecks = [] } = input;
  const { id, title } = planned;
  const isOfUser = (check: Check): boolean => userChecks.some((user) => user.check.id === check.id);
  const context: CheckContext = { boot: id, onEvent, isOfUser };
  onEvent({ type: 'boot', boot: id, title });
  let guest: Guest;
  try {
    guest = await start(planned, input, store);
  } catch (error) {
    if (!(error instanceof KpatchError) || !isGuestEnd(error)) throw error;
    return bootFailed(planned, checks, error, context);
  }
  const { acceleration, bootMs, keptFrom } = guest;
  const resumed = keptFrom === undefined ? {} : { kept: keptFrom };
  onEvent({ type: 'booted', boot: id, acceleration, ms: bootMs, ...resumed });
  const kept: { store?: Uint8Array } = {};
  let records: readonly CheckRecord[];
  try {
    const session = sessionOf(input, guest, (archive) => {
      kept.store = archive;
    });
    records = await runChecks(checks, context, session);
  } finally {
    await guest.stop();
  }
  return {
    checks: records,
    boot: { boot: id, title, acceleration, bootMs, ...resumed, console: guest.console },
    ...kept,
  };
}

async function start(planned: PlannedBoot, input: RunInput, store: Uint8Array | undefined): Promise<Guest> {
  const { kernel, kept, signal, onEvent } = input;
  const { id, system, memoryMiB, cpus, kernelArguments } = planned;
  const progress = (text: string): void => onEvent({ type: 'progress', check: keyOf(id, ''), text });
  const options: BootOptions = {
    ...(await guestContent(planned, input, store)),
    image: kernel.image,
    memoryMiB,
    cpus,
    kernelArguments: ['log_buf_len=4M', ...kernelArguments],
    onConsole: (line) => onEvent({ type: 'console', boot: id, line }),
    onWait: () => progress('waiting for other virtual machines to finish'),
    ...(signal === undefined ? {} : { signal }),
  };
  if (system === 'reboot')
    return boot({
      ...options,
      init: initScript([], emulatorFor(kernel.image), bootService),
      bootDeadlineMs: SERVICE_DEADLINE_MS,
    });
  if (kept === undefined) return boot(options);
  return bootKept(options, {
    folder: kept.folder,
    label: kernel.release,
    cold: kept.cold === true || planned.cold === true,
    ...(kernel.modules === undefined ? {} : { drivers: kernel.modules }),
    onNote: progress,
  });
}

/** What this proof needs in the guest. */
async function guestContent(
  planned: PlannedBoot,
  { subject, predecessors, kernel, test, program = {}, files }: RunInput,
  store: Uint8Array | undefined,
): Promise<Pick<BootOptions, 'files' | 'modules'>> {
  const own: Record<string, GuestFile> = { ...files, ...(planned.system === undefined ? {} : program) };
  for (const module of [subject, ...predecessors]) own[guestPath(module)] = module.bytes;
  if (test !== undefined) own['/kpatch/test'] = { content: test.text, mode: 0o755 };
  for (const { path, from, mode } of test?.files ?? []) own[path] = { from, mode };
  if (store !== undefined) own[STORE_ARCHIVE] = store;
  const targets = [subject, ...predecessors].flatMap(({ targetModules }) => targetModules);
  const available = [...new Set([...targets, ...(test?.modules ?? [])])];
  if (kernel.modules === undefined || available.length === 0) return { files: own };
  const copies = await standIns(kernel.modules, subject.targetModules);
  return { files: { ...own, ...copies }, modules: { folder: kernel.modules, available } };
}

function sessionOf(input: RunInput, guest: Guest, keepStore: (archive: Uint8Array) => void) {
  const state: BootState = { testStatus: {} };
  return (key: string): Session => ({
    ...staticSession(input, key),
    guest,
    state,
    exceptions: input.exceptions,
    stockComplaints: input.stockComplaints,
    sh: (script, options) => guest.run(script, options),
    keepStore,
  });
}

async function runChecks(
  checks: readonly GuestCheck[],
  context: CheckContext,
  session: (key: string) => Session,
): Promise<CheckRecord[]> {
  const records: CheckRecord[] = [];
  const run = async (check: GuestCheck): Promise<{ record: CheckRecord; gone: boolean }> => {
    const done = await runCheck(check, context, (key) => check.run(session(key)));
    records.push(done.record);
    return done;
  };
  for (const [at, check] of checks.entries()) {
    const { record, gone } = await run(check);
    if (!gone && (record.outcome === 'held' || check.needed !== true)) continue;
    const rest = checks.slice(at + 1);
    // The kernel log is most useful when something failed.
    const log = gone ? undefined : rest.find(({ id }) => id === 'log-clean');
    const why = gone ? 'the guest is gone' : `skipped because this failed: ${check.title}`;
    const skipped = rest.filter((other) => other !== log);
    records.push(...notRun(skipped, why, context));
    if (log !== undefined) await run(log);
    break;
  }
  return records;
}

/** The guest did not boot: report that as the failure of its first check. */
function bootFailed(
  { id, title }: PlannedBoot,
  checks: readonly GuestCheck[],
  error: KpatchError,
  context: CheckContext,
): BootRun {
  const { onEvent } = context;
  const text = error.detail ?? '';
  const record: BootRecord = { boot: id, title, acceleration: 'unknown', bootMs: 0, console: text };
  const [first, ...rest] = checks;
  if (first === undefined) return { checks: [], boot: record };
  const check = keyOf(id, first.id);
  const evidence = { text: 'the console', detail: text, varies: true };
  const reason = error.message;
  onEvent({ type: 'begin', check, boot: id, title: first.title });
  onEvent({ type: 'evidence', check, ...evidence });
  onEvent({ type: 'end', check, outcome: 'failed', reason, ms: 0 });
  const failed = {
    check,
    boot: id,
    title: first.title,
    outcome: 'failed',
    reason,
    evidence: [evidence],
    ms: 0,
  } as const;
  return { checks: [failed, ...notRun(rest, 'the guest did not boot', context)], boot: record };
}

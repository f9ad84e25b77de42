/** Runs a plan for one module on one kernel; everything that happens is an event. */
import { fail, KpatchError } from '../errors/error.ts';
import { boot, type Guest } from '../vm/guest.ts';
import type { GuestFile } from '../vm/initramfs.ts';
import type { BootState, Check, GuestCheck, Plan, PlannedBoot, ProofKernel, Session, StaticSession } from './check.ts';
import {
  type CheckHead,
  ClaimFailed,
  type Evidence,
  isGuestEnd,
  type Outcome,
  type ProofEvent,
  type Verdict,
} from './event.ts';
import { guestPath } from './livepatch.ts';
import { trimmed } from './plans.ts';
import type { Subject } from './subject.ts';
import type { TestScript } from './test-script.ts';
import type { UserCheck } from './user-check.ts';

export interface ProofInput {
  readonly subject: Subject;
  readonly predecessors: readonly Subject[];
  readonly kernel: ProofKernel;
  readonly test: TestScript | undefined;
  readonly plan: Plan;
  /** Checks that the user wrote; they are run with the patch loaded. */
  readonly userChecks?: readonly UserCheck[];
  /** Further files for the guest, by their path there. */
  readonly files?: Readonly<Record<string, GuestFile>>;
  readonly onEvent: (event: ProofEvent) => void;
  readonly signal?: AbortSignal;
}

/** What one boot left: its console and how it ran. */
export interface BootRecord {
  readonly boot: string;
  readonly title: string;
  readonly acceleration: string;
  readonly bootMs: number;
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
  readonly checks: readonly CheckRecord[];
  readonly boots: readonly BootRecord[];
  readonly ms: number;
}

/** The id under which the checks stand that look at files only. */
export const FILES = 'files';

/**
 * Runs the plan to its end; what the patch does wrong is in the result, not an error.
 * Errors (of this machine, not of the patch): `tool-missing`, `busybox-missing`, `guest-memory`, `guest-module`,
 * `file-unreadable`, `disk-full`, `interrupted`.
 */
export async function runPlan(input: ProofInput): Promise<PlanResult> {
  const { kernel, subject } = input;
  if (subject.release !== kernel.release) {
    throw fail('prove-other-kernel', { file: subject.file, built: subject.release, wanted: kernel.release });
  }
  const start = performance.now();
  const runner = new Runner(input);
  const { plan } = runner;
  input.onEvent({ type: 'plan', plan: plan.name, release: kernel.release, checks: runner.heads });
  await runner.files();
  for (const planned of plan.boots) await runner.boot(planned);
  const reasons = runner.records.flatMap(({ outcome, title, reason }) =>
    outcome === 'failed' ? [`${title}: ${reason ?? 'no'}`] : [],
  );
  const proven = runner.records.every(({ outcome }) => outcome === 'held');
  const verdict = proven ? 'proven' : 'not proven';
  const ms = performance.now() - start;
  input.onEvent({ type: 'verdict', verdict, reasons, ms });
  return { verdict, reasons, checks: runner.records, boots: runner.boots, ms };
}

class Runner {
  readonly records: CheckRecord[] = [];
  readonly boots: BootRecord[] = [];
  readonly heads: readonly CheckHead[];
  readonly plan: Plan;
  readonly #input: ProofInput;
  readonly #applies: (check: Check) => boolean;
  #filesFailed = false;

  constructor(input: ProofInput) {
    this.#input = input;
    this.plan = trimmed(input.plan, this.#static(''));
    this.#applies = (check) => check.applies?.(this.#static('')) !== false;
    const head = (boot: string, { id, title }: Check): CheckHead => ({ check: keyOf(boot, id), boot, title });
    this.heads = [
      ...this.plan.statics.filter(this.#applies).map((check) => head(FILES, check)),
      ...this.plan.boots.flatMap(({ id, checks }) => checks.filter(this.#applies).map((check) => head(id, check))),
    ];
  }

  #static(key: string): StaticSession {
    const { subject, predecessors, kernel, test, onEvent } = this.#input;
    const progress = (text: string): void => onEvent({ type: 'progress', check: key, text });
    return { subject, predecessors, kernel, test, progress };
  }

  async files(): Promise<void> {
    for (const check of this.plan.statics.filter(this.#applies)) {
      const outcome = await this.#check(FILES, check, (key) => check.run(this.#static(key)));
      if (outcome !== 'held' && check.needed === true) this.#filesFailed = true;
    }
  }

  async boot(planned: PlannedBoot): Promise<void> {
    const { onEvent } = this.#input;
    const checks = planned.checks.filter(this.#applies);
    if (this.#filesFailed) return this.#notRun(planned.id, checks, 'the module does not fit this kernel');
    onEvent({ type: 'boot', boot: planned.id, title: planned.title });
    let guest: Guest;
    try {
      guest = await this.#start(planned);
    } catch (error) {
      if (!(error instanceof KpatchError) || !isGuestEnd(error)) throw error;
      return this.#bootFailed(planned, checks, error);
    }
    const { acceleration, bootMs } = guest;
    onEvent({ type: 'booted', boot: planned.id, acceleration, ms: bootMs });
    try {
      await this.#checks(planned, checks, guest);
    } finally {
      await guest.stop();
      const { id, title } = planned;
      this.boots.push({ boot: id, title, acceleration, bootMs, console: guest.console });
    }
  }

  #start(planned: PlannedBoot): Promise<Guest> {
    const { subject, predecessors, kernel, test, files, signal, onEvent } = this.#input;
    const own: Record<string, GuestFile> = { ...files };
    for (const module of [subject, ...predecessors]) own[guestPath(module)] = module.bytes;
    if (test !== undefined) own['/kpatch/test'] = { content: test.text, mode: 0o755 };
    const targets = [...new Set([subject, ...predecessors].flatMap(({ targetModules }) => targetModules))];
    const modules = kernel.modules !== undefined && targets.length > 0;
    return boot({
      image: kernel.image,
      files: own,
      ...(modules ? { modules: { folder: kernel.modules!, available: targets } } : {}),
      memoryMiB: planned.memoryMiB,
      cpus: planned.cpus,
      kernelArguments: ['log_buf_len=4M', ...planned.kernelArguments],
      onConsole: (line) => onEvent({ type: 'console', boot: planned.id, line }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  async #checks(planned: PlannedBoot, checks: readonly GuestCheck[], guest: Guest): Promise<void> {
    const state: BootState = { loaded: false, testStatus: {} };
    for (const [at, check] of checks.entries()) {
      const session = (key: string): Session => ({
        ...this.#static(key),
        guest,
        state,
        sh: (script, options) => guest.run(script, options),
      });
      const outcome = await this.#check(planned.id, check, (key) => check.run(session(key)));
      if (outcome === 'gone' || (outcome === 'failed' && check.needed === true)) {
        const why = outcome === 'gone' ? 'the guest is gone' : `without this: ${check.title}`;
        // What the kernel said is worth reading most when something failed.
        const rest = checks.slice(at + 1);
        const log = rest.find(({ id }) => id === 'log-clean');
        this.#notRun(
          planned.id,
          rest.filter((other) => outcome === 'gone' || other !== log),
          why,
        );
        if (outcome !== 'gone' && log !== undefined) await this.#check(planned.id, log, (key) => log.run(session(key)));
        return;
      }
    }
  }

  async #check(
    boot: string,
    check: Check,
    run: (key: string) => AsyncGenerator<Evidence, void>,
  ): Promise<'held' | 'failed' | 'gone'> {
    const { onEvent } = this.#input;
    const key = keyOf(boot, check.id);
    const start = performance.now();
    const evidence: Evidence[] = [];
    const see = (seen: Evidence): void => {
      evidence.push(seen);
      onEvent({ type: 'evidence', check: key, ...seen });
    };
    let outcome: 'held' | 'failed' | 'gone' = 'held';
    let reason: string | undefined;
    onEvent({ type: 'begin', check: key, boot, title: check.title });
    try {
      for await (const seen of run(key)) see(seen);
    } catch (error) {
      if (error instanceof KpatchError && isGuestEnd(error)) outcome = 'gone';
      else if (error instanceof ClaimFailed || this.#failsItself(check, error)) outcome = 'failed';
      else throw error;
      const { message, detail } = error as ClaimFailed;
      reason = message;
      if (detail !== undefined && detail.trim() !== '') see({ text: 'what was seen', detail });
    }
    const ms = performance.now() - start;
    const final: Outcome = outcome === 'gone' ? 'failed' : outcome;
    const why = reason === undefined ? {} : { reason };
    this.records.push({ check: key, boot, title: check.title, outcome: final, ...why, evidence, ms });
    onEvent({ type: 'end', check: key, outcome: final, ...why, ms });
    return outcome;
  }

  /** Whatever a check of the user throws is its own finding; in one of ours it would be a defect. */
  #failsItself(check: Check, error: unknown): boolean {
    const own = this.#input.userChecks?.some((user) => user.check.id === check.id) === true;
    return own && error instanceof Error && !(error instanceof KpatchError);
  }

  #bootFailed(planned: PlannedBoot, checks: readonly GuestCheck[], error: KpatchError): void {
    const { id, title } = planned;
    const [first, ...rest] = checks;
    this.boots.push({ boot: id, title, acceleration: 'unknown', bootMs: 0, console: error.detail ?? '' });
    if (first === undefined) return;
    const key = keyOf(id, first.id);
    const evidence = [{ text: 'the console', detail: error.detail ?? '' }];
    this.#input.onEvent({ type: 'begin', check: key, boot: id, title: first.title });
    this.#input.onEvent({ type: 'evidence', check: key, ...evidence[0]! });
    const reason = error.message;
    this.records.push({ check: key, boot: id, title: first.title, outcome: 'failed', reason, evidence, ms: 0 });
    this.#input.onEvent({ type: 'end', check: key, outcome: 'failed', reason, ms: 0 });
    this.#notRun(id, rest, 'the guest did not come up');
  }

  #notRun(boot: string, checks: readonly Check[], reason: string): void {
    for (const { id, title } of checks) {
      const check = keyOf(boot, id);
      this.records.push({ check, boot, title, outcome: 'not run', reason, evidence: [], ms: 0 });
      this.#input.onEvent({ type: 'end', check, outcome: 'not run', reason, ms: 0 });
    }
  }
}

/** One check can stand in several boots: its key says which. */
export function keyOf(boot: string, id: string): string {
  return `${boot}/${id}`;
}

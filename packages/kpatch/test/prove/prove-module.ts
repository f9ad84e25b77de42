/** Runs a plan on a module written by hand. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { readSubject, type Subject } from '#kpatch/prove/input/subject.ts';
import { readTestScript } from '#kpatch/prove/input/test-script.ts';
import type { UserCheck } from '#kpatch/prove/input/user-check.ts';
import { quickPlan } from '#kpatch/prove/plans.ts';
import type { Plan } from '#kpatch/prove/run/check.ts';
import type { ProofEvent } from '#kpatch/prove/run/event.ts';
import type { ProofJournal } from '#kpatch/prove/run/journal.ts';
import type { PlanResult } from '#kpatch/prove/run/record.ts';
import { runPlan } from '#kpatch/prove/run/run-plan.ts';
import type { GuestFiles } from '#kpatch/vm/files/initramfs.ts';
import { guestsFolder } from '../vm/resumed.ts';
import { stockKernel } from '../vm/stock-kernel.ts';
import { type HandMade, handMadeModule } from './livepatch-module.ts';

/** Where the test scripts lie; files that they need lie below it. */
export const folder = mkdtempSync(join(tmpdir(), 'kpatch-test-'));
after(() => rmSync(folder, { recursive: true }));

export interface Options {
  readonly series?: '6.1' | '6.12';
  readonly test?: string;
  readonly plan?: Plan;
  readonly predecessors?: readonly HandMade[];
  readonly userChecks?: readonly UserCheck[];
  /** The guests that have the program get it. */
  readonly program?: GuestFiles;
  readonly journal?: ProofJournal;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: ProofEvent) => void;
}

export interface Proven {
  readonly result: PlanResult;
  readonly events: readonly ProofEvent[];
  /** Why each check failed, by its id (with its boot where there are several). */
  readonly failed: Readonly<Record<string, string>>;
}

/** Builds a module by hand; gives it as the proof reads it. */
export async function subjectOf(module: HandMade, series: '6.1' | '6.12' = '6.1'): Promise<Subject> {
  const file = join(folder, `${module.name}.ko`);
  writeFileSync(file, await handMadeModule(await stockKernel(series), module));
  return readSubject(file);
}

export async function proveModule(module: HandMade, options: Options): Promise<Proven> {
  const { series = '6.1', plan = quickPlan } = options;
  const kernel = { ...(await stockKernel(series)), buildId: undefined };
  const subject = await subjectOf(module, series);
  const predecessors: Subject[] = [];
  for (const other of options.predecessors ?? []) predecessors.push(await subjectOf(other, series));
  const script = join(folder, `${module.name}.sh`);
  if (options.test !== undefined) writeFileSync(script, options.test);
  const test = options.test === undefined ? undefined : readTestScript(script);
  const events: ProofEvent[] = [];
  const onEvent = (event: ProofEvent): void => {
    events.push(event);
    options.onEvent?.(event);
  };
  const { userChecks = [], program, journal, signal } = options;
  const more = {
    ...(program === undefined ? {} : { program }),
    ...(journal === undefined ? {} : { journal }),
    ...(signal === undefined ? {} : { signal }),
  };
  const kept = { folder: guestsFolder() };
  const result = await runPlan({ kept, subject, predecessors, kernel, test, plan, userChecks, onEvent, ...more });
  const failed = result.checks.filter(({ outcome }) => outcome === 'failed');
  const name = (check: string): string => (plan.boots.length > 1 ? check : check.replace(/.*\//, ''));
  return { result, events, failed: Object.fromEntries(failed.map(({ check, reason }) => [name(check), reason ?? ''])) };
}

/** Makes one proof: runs the plan and turns its events into the proof document. */
import { basename } from 'node:path';
import { sha256File } from '../base/digest.ts';
import { version } from '../base/version.ts';
import { type Proof, proofSchema } from '../module/proof.ts';
import { emulatorFor } from '../vm/qemu/emulator.ts';
import { qemuVersion } from '../vm/qemu/qemu.ts';
import type { ProofInput } from './input/proof-input.ts';
import { journalOf } from './run/journal-key.ts';
import type { PlanResult } from './run/record.ts';
import { runPlan } from './run/run-plan.ts';

/** Where finished boots of interrupted proofs are recorded, and whether they count for this one. */
export interface Records {
  readonly folder: string;
  readonly resume: boolean;
}

/** Runs the plan and returns the unsigned proof. Errors: those of `runPlan`. */
export async function prove(input: ProofInput, records?: Records): Promise<Proof> {
  const { subject, kernel, test, predecessors, plan, userChecks = [] } = input;
  const facts = Promise.all([sha256File(kernel.image), qemuVersion(emulatorFor(kernel.image))]);
  const running = records === undefined ? runPlan(input) : facts.then((known) => runRecorded(input, records, known));
  const [[image, qemu], result] = await Promise.all([facts, running]);
  return {
    schema: proofSchema,
    verdict: result.verdict,
    reasons: result.reasons,
    plan: plan.name,
    module: { name: subject.name, file: basename(subject.file), sha256: subject.sha256 },
    kernel: { release: kernel.release, image, ...(kernel.buildId === undefined ? {} : { buildId: kernel.buildId }) },
    inputs: [
      ...(test === undefined ? [] : [{ role: 'test', name: basename(test.file), sha256: test.sha256 }]),
      ...(test?.files.map(({ from, sha256 }) => ({ role: 'test file', name: basename(from), sha256 })) ?? []),
      ...predecessors.map((other) => ({ role: 'predecessor', name: basename(other.file), sha256: other.sha256 })),
      ...userChecks.map(({ file, sha256 }) => ({ role: 'check', name: basename(file), sha256 })),
      ...(subject.manifest?.patches.map(({ name, sha256 }) => ({ role: 'source patch', name, sha256 })) ?? []),
    ],
    tool: `kpatch ${version}`,
    qemu,
    made: new Date().toISOString(),
    checks: result.checks.map((check) => ({ ...check, ms: Math.round(check.ms) })),
    boots: result.boots.map((boot) => ({ ...boot, bootMs: Math.round(boot.bootMs) })),
    ms: Math.round(result.ms),
  };
}

async function runRecorded(
  input: ProofInput,
  { folder, resume }: Records,
  [image, qemu]: readonly [string, string],
): Promise<PlanResult> {
  const journal = journalOf(folder, input, image, qemu);
  if (!resume) journal.remove(input.plan.boots);
  return await runPlan({ ...input, journal });
}

/** The quick proof of a module that a command has just built. */

import { join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import type { Reporter } from '../../base/report.ts';
import { cacheRoot } from '../../base/workspace.ts';
import type { Proof } from '../../module/proof.ts';
import { proofPath } from '../../module/proof-path.ts';
import type { KernelSource } from '../../prepare/choice.ts';
import { KernelFacts } from '../../prepare/facts.ts';
import { holdKernel, prepareKernel } from '../../prepare/kernel.ts';
import { readSubject } from '../../prove/input/subject.ts';
import { readTestScript } from '../../prove/input/test-script.ts';
import { plans } from '../../prove/plans.ts';
import { prove } from '../../prove/proof.ts';

/** Proves `module` with the quick plan and writes the proof beside it. Errors: those of `kpatch prove`. */
export async function proveModule(
  module: string,
  options: { readonly source: KernelSource; readonly report: Reporter; readonly test?: string },
): Promise<{ readonly proof: Proof; readonly file: string }> {
  const subject = readSubject(module);
  const kernel = await prepareKernel(subject.release, { ...options.source, report: options.report });
  using _held = await holdKernel(kernel);
  const { release, buildId, paths } = kernel;
  const proof = await prove({
    subject,
    predecessors: [],
    kernel: { release, buildId, image: paths.image, modules: paths.modules, facts: new KernelFacts(kernel) },
    test: options.test === undefined ? undefined : readTestScript(options.test),
    plan: plans.quick,
    kept: { folder: join(cacheRoot(), 'guests'), cold: false },
    onEvent: () => {},
  });
  const file = proofPath(module);
  writeAtomically(file, `${JSON.stringify(proof, null, 1)}\n`);
  return { proof, file };
}

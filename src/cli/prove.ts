/** `kpatch prove`: shows in virtual machines that a patch module holds, before anyone trusts it. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { fail } from '../errors/error.ts';
import { prepareKernel, requireLivepatch } from '../kernel/kernel.ts';
import { type Proof, proofPath, signProof } from '../module/proof.ts';
import type { Plan, ProofKernel } from '../prove/check.ts';
import type { ProofEvent } from '../prove/event.ts';
import { type LiveView, liveView } from '../prove/live-view.ts';
import { onlyChecks, plans, withUserChecks } from '../prove/plans.ts';
import { prove } from '../prove/proof.ts';
import { proofText } from '../prove/proof-text.ts';
import { readSubject, type Subject } from '../prove/subject.ts';
import { readTestScript } from '../prove/test-script.ts';
import { readUserCheck } from '../prove/user-check.ts';
import { writeAtomically } from '../util/files.ts';
import { consoleReporter, type Reporter, silentReporter } from '../util/report.ts';
import { printFailure } from './command.ts';
import { jsonStream } from './json-stream.ts';

interface Options {
  readonly kernel?: string[];
  readonly test?: string;
  readonly full?: boolean;
  readonly check?: string[];
  readonly with?: string[];
  readonly from?: string[];
  readonly proof: string | boolean;
  readonly key?: string;
  readonly report?: string;
  readonly json?: boolean;
}

const several = (value: string, before: string[] | undefined): string[] => [...(before ?? []), value];

export function register(program: Command): void {
  program
    .command('prove <MODULE.ko>')
    .description('show in virtual machines that a patch module holds')
    .option('--kernel <RELEASE>', 'the kernel to prove it on: the one it was built for', several)
    .option('--test <SCRIPT>', "the author's test: a shell script, run before, with and after the patch")
    .option('--full', 'the full plan: load, cycles, upgrades, a second boot that looks for memory errors (minutes)')
    .option('--check <NAME>', 'only this check of the plan and those it builds on', several)
    .option('--with <FILE>', 'a check of your own: a shell or TypeScript file', several)
    .option('--from <MODULE.ko>', 'a predecessor: the upgrade from it, and back, is tried', several)
    .option('--proof <FILE>', 'where the proof is written (beside the module, MODULE.proof.json)')
    .option('--no-proof', 'write no proof')
    .option('--key <FILE>', 'private key in PEM form that signs the proof')
    .option('--report <FILE.html>', 'write a page that shows the proof')
    .option('--json', 'one document on standard output, written as it happens: every event, then the proof')
    .action(async (file: string, options: Options) => {
      const stream = options.json === true ? jsonStream('kpatch.prove/1', process.stdout) : undefined;
      try {
        const proof = await run(file, options, stream?.event);
        process.exitCode = proof.verdict === 'proven' ? 0 : 1;
        if (stream === undefined) process.stdout.write(proofText(proof));
        else stream.end({ proof });
      } catch (error) {
        if (stream?.begun === true) stream.fail(error);
        else printFailure(error, options.json === true);
      }
    });
}

async function run(file: string, options: Options, onEvent?: (event: ProofEvent) => void): Promise<Proof> {
  const report: Reporter = onEvent === undefined ? consoleReporter() : silentReporter();
  const subject = readSubject(file);
  const release = options.kernel?.at(-1) ?? subject.release;
  if (release !== subject.release) {
    throw fail('prove-other-kernel', { file, built: subject.release, wanted: release }, { where: { file } });
  }
  const predecessors = (options.from ?? []).map(readSubject);
  const test = options.test === undefined ? undefined : readTestScript(options.test);
  const userChecks = await Promise.all((options.with ?? []).map(readUserCheck));
  const plan = planOf(options, userChecks);
  const kernel = await kernelOf(subject, report);
  const view: LiveView | undefined = onEvent === undefined ? liveView() : undefined;
  let proof: Proof;
  try {
    const listener = onEvent ?? view!.onEvent;
    proof = await prove({ subject, predecessors, kernel, test, plan, userChecks, onEvent: listener });
  } finally {
    view?.close();
  }
  if (options.key !== undefined) proof = signProof(proof, options.key);
  if (options.proof !== false) {
    const path = typeof options.proof === 'string' ? options.proof : proofPath(file);
    writeAtomically(resolve(path), `${JSON.stringify(proof, null, 1)}\n`);
    if (onEvent === undefined) process.stderr.write(`proof written to ${path}\n`);
  }
  return proof;
}

function planOf(
  options: Options,
  userChecks: readonly { readonly check: Parameters<typeof withUserChecks>[1][number] }[],
): Plan {
  const base = options.full === true ? plans.full : plans.quick;
  return withUserChecks(
    onlyChecks(base, options.check ?? []),
    userChecks.map(({ check }) => check),
  );
}

async function kernelOf(subject: Subject, report: Reporter): Promise<ProofKernel> {
  const kernel = await prepareKernel(subject.release, { report });
  requireLivepatch(kernel);
  const { release, buildId, paths } = kernel;
  return { release, buildId, image: paths.image, modules: paths.modules };
}

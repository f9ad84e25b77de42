/** Finds and prepares the target kernel, and reads the patch that the new one succeeds. */
import type { Reporter } from '../../base/report.ts';
import type { TargetKernel } from '../../kernel/target.ts';
import { KernelFacts } from '../../prepare/facts.ts';
import { holdKernel, prepareCustomKernel, prepareKernel } from '../../prepare/kernel.ts';
import { requireLivepatch } from '../../prepare/livepatch-support.ts';
import type { Resource } from '../../provenance/statement.ts';
import { checkCompiler } from '../../toolchain/compiler.ts';
import type { Defer } from '../intact.ts';
import type { BuildRequest } from '../request.ts';
import { type Predecessor, readPredecessor, successorVersion } from '../successor.ts';
import { kernelInputs } from './inputs.ts';
import type { Order } from './order.ts';

/** The kernel that a build is for. It stays prepared until the target is disposed of. */
export interface Target extends Disposable {
  readonly kernel: TargetKernel;
  readonly facts: KernelFacts;
  /** The previous cumulative patch (`--after`). */
  readonly previous: Predecessor | undefined;
  /** Version of the new patch. */
  readonly version: number;
  /** Version text of the compiler. */
  readonly compiler: string;
  /** What the kernel and the toolchain consist of, for the provenance: read while the build goes on. */
  readonly inputs: Promise<Resource[]>;
}

/** Errors: those of preparing kernels; `kernel-no-livepatch`, `kernel-compiler`, `tool-missing`; those of `readPredecessor`. */
export async function findTarget({ request, module }: Order, report: Reporter, defer?: Defer): Promise<Target> {
  const { release = module?.release, parts } = request;
  const kernel = await report.stage('target kernel', () =>
    parts === undefined
      ? prepareKernel(release, { ...request.kernelSource, report, ...(defer === undefined ? {} : { defer }) })
      : prepareCustomKernel(parts, { report }),
  );
  using stack = new DisposableStack();
  stack.use(await holdKernel(kernel));
  const facts = new KernelFacts(kernel);
  const compiler = await checkTarget(facts, request, report);
  const inputs = kernelInputs(kernel);
  inputs.catch(() => {}); // it is awaited at the end, and the build may fail before
  const previous = request.after === undefined ? undefined : readPredecessor(request.after, kernel);
  const version = successorVersion(previous, request.version);
  const held = stack.move();
  return { kernel, facts, previous, version, compiler, inputs, [Symbol.dispose]: () => held.dispose() };
}

/** Gives the version text of the compiler. Errors: those of `requireLivepatch`, `kernel-compiler`, `tool-missing`. */
async function checkTarget(facts: KernelFacts, request: BuildRequest, report: Reporter): Promise<string> {
  const { kernel } = facts;
  requireLivepatch(kernel);
  const { same, found } = await checkCompiler(kernel, { accept: request.skipCompilerCheck });
  if (!same) report.warn(`compiling with "${found}" instead of "${kernel.compiler.builtBy}"`);
  return found;
}

/**
 * A build is a pipeline. Each stage is a file in stages/, takes the results of the stages before it, and returns plain data:
 *
 *     order → target → sources → compile plan → compiled pairs → differences → functions → module → result
 */
import { availableParallelism } from 'node:os';
import { temporaryFolder } from '../base/files.ts';
import type { Reporter } from '../base/report.ts';
import { isSandboxed } from '../base/workspace.ts';
import { parsedFiles } from '../formats/elf/file.ts';
import { readableFiles } from '../sandbox/user.ts';
import { type Defer, onIntactKernel } from './intact.ts';
import type { BuildRequest, BuildResult } from './request.ts';
import type { PairComparison } from './stages/compare.ts';
import { kernelTree } from './stages/compile/kernel-tree.ts';
import { ownModule } from './stages/compile/own-module.ts';
import { type Order, readOrder } from './stages/order.ts';
import { prefetch } from './stages/prefetch.ts';
import { findTarget } from './stages/target.ts';

export type { BuildRequest, BuildResult, BuiltFunction } from './request.ts';

/**
 * Builds a livepatch module. The prepared kernel is only read; all work happens in temporary folders, which are removed.
 * Errors: those of reading and applying patches, of kernels, compilation, differ, linking, checking and signing, and of the
 * previous module; `no-change` if no code changes.
 */
export async function build(request: BuildRequest, report: Reporter): Promise<BuildResult> {
  const order = await readOrder(request);
  return await onIntactKernel((defer) => run(order, report, defer));
}

async function run(order: Order, report: Reporter, defer: Defer | undefined): Promise<BuildResult> {
  const before = parsedFiles();
  const { request } = order;
  using target = await findTarget(order, report, defer);
  if (!isSandboxed()) report.warn('no sandbox: the compiler and its tools run with all your rights');
  using _readable = readableFiles();
  using folder = temporaryFolder('kpatch-build-');
  const jobs = request.jobs ?? availableParallelism();
  const work = { order, target, folder: folder.path, report, jobs };
  const workshop = order.module === undefined ? kernelTree(work) : ownModule(work);
  const sources = await workshop.patch();
  // Loaded while the compilers run.
  const fresh = async (): Promise<PairComparison> => {
    const { newComparison } = await import('./stages/second-half.ts');
    return newComparison(target, request);
  };
  await workshop.decide(sources, async (pairs) => (await fresh()).add(pairs));
  const { reviewSources } = await import('./stages/review.ts');
  const hazards = await reviewSources(sources, request, report);
  const plan = await workshop.plan(sources);
  let comparison: PairComparison | undefined;
  const comparing = async (): Promise<PairComparison> => {
    comparison ??= await fresh();
    return comparison;
  };
  const look = async (round: Parameters<PairComparison['add']>[0]): Promise<void> => (await comparing()).add(round);
  const [pairs] = await Promise.all([workshop.compile(sources, plan, look), prefetch(target.facts)]);
  const { finish } = await import('./stages/second-half.ts');
  const parsed = (): number => parsedFiles() - before;
  return await finish({ order, target, sources, hazards, plan, pairs }, await comparing(), parsed, report);
}

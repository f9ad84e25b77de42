/**
 * A build is a pipeline. Each stage is a file in stages/, takes the results of the stages before it, and returns plain data:
 *
 *     order → target → sources → compile plan → compiled pairs → differences → functions → module → provenance → result
 */
import { availableParallelism } from 'node:os';
import { temporaryFolder } from '../base/files.ts';
import type { Reporter } from '../base/report.ts';
import { parsedFiles } from '../formats/elf/file.ts';
import { isSandboxed } from '../sandbox/policy.ts';
import { readableFiles } from '../sandbox/user.ts';
import { type Defer, onIntactKernel } from './intact.ts';
import type { BuildRequest, BuildResult } from './request.ts';
import { conclude, PairComparison } from './stages/compare.ts';
import { kernelTree } from './stages/kernel-tree.ts';
import { matchRunning } from './stages/match.ts';
import { finishModule } from './stages/module.ts';
import { type Order, readOrder } from './stages/order.ts';
import { ownModule } from './stages/own-module.ts';
import { stateProvenance } from './stages/provenance.ts';
import { resultOf } from './stages/result.ts';
import { reviewSources } from './stages/review.ts';
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
  const options = {
    keepLineChanges: request.keepLineChanges,
    acceptLayouts: request.acceptLayouts ?? [],
    leaveOutInit: request.leaveOutInit === true,
  };
  await workshop.decide(sources, (pairs) => new PairComparison(target.facts, options).add(pairs));
  const hazards = await reviewSources(sources, request, report);
  const plan = await workshop.plan(sources);
  const comparison = new PairComparison(target.facts, options);
  const pairs = await workshop.compile(sources, plan, (round) => comparison.add(round));
  await report.stage('compare', () => comparison.add(pairs));
  const compared = await conclude(comparison, target, plan);
  const functions = await matchRunning(compared, sources, target, order, report);
  const finished = await finishModule({ ...compared, hazards }, functions, order, target, report);
  const provenance = await stateProvenance(order, target, finished);
  const parsed = parsedFiles() - before;
  const stages = { order, target, sources, plan, pairs, compared, hazards, functions, finished, provenance, parsed };
  return await resultOf(stages, report);
}

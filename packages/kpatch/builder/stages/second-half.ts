/** The stages after compiling: differences → functions → module → result. */
import type { Reporter } from '../../base/report.ts';
import type { Hazard } from '../../review/hazard.ts';
import type { CompiledPair } from '../pairs.ts';
import type { BuildRequest, BuildResult } from '../request.ts';
import { conclude, PairComparison } from './compare.ts';
import type { CompilePlan, Sources } from './compile/workshop.ts';
import { matchRunning } from './match.ts';
import { finishModule } from './module.ts';
import type { Order } from './order.ts';
import { stateProvenance } from './provenance.ts';
import { resultOf } from './result.ts';
import type { Target } from './target.ts';

/** The results of the stages before. */
export interface FirstHalf {
  readonly order: Order;
  readonly target: Target;
  readonly sources: Sources;
  readonly hazards: readonly Hazard[];
  readonly plan: CompilePlan;
  readonly pairs: readonly CompiledPair[];
}

/** Starts to compare pairs with the settings of the request. */
export function newComparison({ facts }: Target, request: BuildRequest): PairComparison {
  const { keepLineChanges, acceptLayouts = [], leaveOutInit = false } = request;
  return new PairComparison(facts, { keepLineChanges, acceptLayouts, leaveOutInit });
}

/** Runs the stages. Errors: theirs. */
export async function finish(
  { order, target, sources, hazards, plan, pairs }: FirstHalf,
  comparison: PairComparison,
  parsed: () => number,
  report: Reporter,
): Promise<BuildResult> {
  await report.stage('compare', () => comparison.add(pairs));
  const compared = await conclude(comparison, target, plan);
  const functions = await matchRunning(compared, sources, target, order, report);
  const finished = await finishModule({ ...compared, hazards }, functions, order, target, report);
  const provenance = await stateProvenance(order, target, finished);
  const stages = {
    order,
    target,
    sources,
    plan,
    pairs,
    compared,
    hazards,
    functions,
    finished,
    provenance,
    parsed: parsed(),
  };
  return await resultOf(stages, report);
}

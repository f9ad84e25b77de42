/** The last stage: what the caller gets to know of a build. */
import type { Reporter } from '../../base/report.ts';
import { has, type KernelRules } from '../../platform/kernel-rules.ts';
import type { ProvenanceStatement } from '../../provenance/statement.ts';
import type { Hazard } from '../../review/hazard.ts';
import type { CompiledPair } from '../pairs.ts';
import type { BuildResult, BuiltFunction } from '../request.ts';
import type { Compared, UnitDifference } from './compare.ts';
import type { CompilePlan, Sources } from './compile/workshop.ts';
import type { FinishedModule } from './module.ts';
import type { Order } from './order.ts';
import type { Target } from './target.ts';

/** The results of the stages before. */
export interface Stages {
  readonly order: Order;
  readonly target: Target;
  readonly sources: Sources;
  readonly plan: CompilePlan;
  readonly pairs: readonly CompiledPair[];
  readonly compared: Compared;
  readonly hazards: readonly Hazard[];
  readonly functions: readonly BuiltFunction[];
  readonly finished: FinishedModule;
  readonly provenance: ProvenanceStatement;
  /** ELF files that were parsed. */
  readonly parsed: number;
}

export async function resultOf(stages: Stages, report: Reporter): Promise<BuildResult> {
  const { order, target, sources, plan, compared, finished } = stages;
  const { kernel, version } = target;
  const copies = compared.elsewhere.filter(({ file }) => !file.endsWith('.h'));
  return {
    kernel,
    name: order.name,
    module: finished.bytes,
    unsigned: finished.unsigned,
    provenance: stages.provenance,
    sha256: finished.sha256,
    version,
    signed: order.request.sign !== undefined,
    checked: finished.checked,
    glue: finished.glue,
    units: stages.pairs.map(({ unit }) => unit.object),
    leftOut: plan.leftOut,
    adjustments: sources.adjustments,
    functions: stages.functions,
    hazards: stages.hazards,
    notes: [
      ...compared.notes,
      ...copies.map(({ file, reason }) => `left out: ${file}: ${reason}; that copy does not change`),
      ...comesOnlyOnce(compared.differences, kernel.release, await target.facts.rules()),
    ],
    times: report.times,
    parsed: stages.parsed,
  };
}

/**
 * Before Linux 6.3 the kernel does not clear livepatch relocations when the module they refer to is removed, and refuses to
 * load that module again. From 5.8 on the patch clears them itself (module/make/reload.ts).
 */
function comesOnlyOnce(differences: readonly UnitDifference[], release: string, rules: KernelRules): string[] {
  if (has(rules, 'earlyRelocations') || has(rules, 'clearedRelocations')) return [];
  const bound = differences.filter(({ object, result }) => {
    return object !== 'vmlinux' && result.references.some((reference) => reference.object === object);
  });
  return [...new Set(bound.map(({ object }) => object))].map((object) => {
    return `${object} cannot be loaded again if it is removed while this patch is active: ${release} lacks the fix of Linux 6.3`;
  });
}

/** How source becomes compiled pairs. There are two ways: in the kernel tree, and in the copy of an out-of-tree module. */
import type { Reporter } from '../../../base/report.ts';
import type { SourceOverlay } from '../../../kbuild/overlay.ts';
import type { Unit } from '../../../kbuild/unit.ts';
import type { Adjustment } from '../../../source/apply.ts';
import type { SourcePatch } from '../../../source/patch.ts';
import type { Edit } from '../../cause.ts';
import type { CompiledPair } from '../../pairs.ts';
import type { LeftOut } from '../../planning/irrelevance.ts';
import type { Order } from '../order.ts';
import type { Target } from '../target.ts';

/** What every stage of a workshop can use. */
export interface Work {
  readonly order: Order;
  readonly target: Target;
  /** An empty working folder. */
  readonly folder: string;
  readonly report: Reporter;
  /** Number of compilers to run at once. */
  readonly jobs: number;
}

/** The patched source. */
export interface Sources {
  /** With the patches applied. */
  readonly patched: SourceOverlay;
  /** The patches, each file at its place in the tree. */
  readonly placed: readonly SourcePatch[];
  /** The same without the files that are left out. */
  readonly applied: readonly SourcePatch[];
  readonly adjustments: readonly Adjustment[];
  readonly edits: readonly Edit[];
  readonly leftOut: readonly LeftOut[];
}

/** What is to be compiled. */
export interface CompilePlan {
  /** The units that the patches reach; empty for an out-of-tree module, where kbuild determines them. */
  readonly units: readonly Unit[];
  readonly leftOut: readonly LeftOut[];
  /** Changed files that are also part of code outside kbuild's lists of objects. */
  readonly elsewhere: () => Promise<readonly LeftOut[]>;
}

/** Called with the pairs of each round if there are many, so that errors are found early, see `PairsInput.look`. */
export type Look = (pairs: readonly CompiledPair[]) => Promise<void>;

/** The stages from patches to compiled pairs, in this order. */
export interface Workshop {
  patch(): Promise<Sources>;
  /** Compiles a few units whose comparison shows early that the patch cannot be built, before the rest is even planned. */
  decide(sources: Sources, look: Look): Promise<void>;
  plan(sources: Sources): Promise<CompilePlan>;
  compile(sources: Sources, plan: CompilePlan, look: Look): Promise<readonly CompiledPair[]>;
}

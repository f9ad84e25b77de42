/** What a build takes and what it returns. */
import type { StageTime } from '../base/report.ts';
import type { CustomParts } from '../distro/custom/custom.ts';
import type { TargetKernel } from '../kernel/target.ts';
import type { ModuleReport } from '../module/check/check.ts';
import type { SigningKey } from '../module/make/sign.ts';
import type { ShieldNote } from '../module/manifest.ts';
import type { KernelSource } from '../prepare/choice.ts';
import type { ProvenanceStatement } from '../provenance/statement.ts';
import type { Hazard } from '../review/hazard.ts';
import type { Adjustment } from '../source/apply.ts';
import type { Cause } from './cause.ts';
import type { OutOfTreeModule } from './out-of-tree.ts';
import type { LeftOut } from './planning/irrelevance.ts';

export interface BuildRequest {
  /** Patch files, folders or series files, in order. */
  readonly patches: readonly string[];
  /** As in `uname -r` (default: the running or the newest kernel). */
  readonly release?: string;
  /** The parts of a custom kernel, instead of a release. */
  readonly parts?: CustomParts;
  /** Where the kernel and its compiler come from, if not as the name of the kernel tells. */
  readonly kernelSource?: KernelSource;
  /** Patch an out-of-tree module; the patches apply to its source. */
  readonly outOfTree?: OutOfTreeModule;
  readonly name?: string;
  /** Version of the cumulative patch, from 1 (default: one more than that of the previous patch). */
  readonly version?: number;
  /** The previous module: the new one must cover all of its functions except those in `withdraw`. */
  readonly after?: string;
  readonly withdraw?: readonly string[];
  readonly sign?: SigningKey;
  readonly cves: readonly string[];
  readonly replace: boolean;
  readonly skipCompilerCheck: boolean;
  readonly keepLineChanges: boolean;
  /** Structures whose layout change the user accepts as safe. */
  readonly acceptLayouts?: readonly string[];
  /** Skip changed init and exit code of modules. */
  readonly leaveOutInit?: boolean;
  /** Skip the run-pre match. */
  readonly skipRunPre?: boolean;
  /** Kinds of hazards that end the build. */
  readonly deny?: readonly string[];
  /** Recorded in the manifest if the patch is a shield. */
  readonly shield?: ShieldNote;
  readonly jobs?: number;
  /** URI of this builder, for the provenance. */
  readonly builder?: string;
}

export interface BuildResult {
  readonly kernel: TargetKernel;
  readonly name: string;
  /** The module, signed if requested. */
  readonly module: Uint8Array;
  readonly unsigned: Uint8Array;
  /** Digest of the module without its signature. */
  readonly sha256: string;
  readonly version: number;
  readonly signed: boolean;
  /** Result of the module checks. */
  readonly checked: ModuleReport;
  readonly glue: string;
  readonly units: readonly string[];
  readonly leftOut: readonly LeftOut[];
  readonly adjustments: readonly Adjustment[];
  readonly functions: readonly BuiltFunction[];
  /** What the review found. */
  readonly hazards: readonly Hazard[];
  /** Notes of the differ: what it skipped or treated specially. */
  readonly notes: readonly string[];
  /** What it was built from (docs/provenance.md), not signed. */
  readonly provenance: ProvenanceStatement;
  readonly times: readonly StageTime[];
  /** ELF files that were parsed, see `parsedFiles`. */
  readonly parsed: number;
}

/** A function of the patch, with everything known about it. */
export interface BuiltFunction {
  readonly name: string;
  readonly object: string;
  /** See `ManifestFunction`; 0 for new functions. */
  readonly sympos: number;
  readonly kind: 'changed' | 'new';
  readonly unit: string;
  /** Digest of the replaced code, if the run-pre match found it in the target kernel. */
  readonly digest?: string;
  /** Source file and line, from debug information. */
  readonly source?: string;
  readonly reasons: readonly string[];
  /** Why, in terms of the source. */
  readonly cause: Cause;
  /** The source patches that changed it. */
  readonly patches: readonly string[];
}

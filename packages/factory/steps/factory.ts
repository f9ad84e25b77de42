/** What every step works with. */
import type { PreparedKernel } from 'kpatch/advisories';
import type { FactoryConfig, FactoryKernel } from '../config.ts';
import type { DroppedFix, SeriesPatch } from '../fixes/series.ts';
import type { State } from '../store/state.ts';

/** A module, and the envelope that says what it was built from. */
export interface BuiltModule {
  readonly name: string;
  readonly module: Uint8Array;
  readonly functions: readonly string[];
  readonly provenance?: string;
}

/** The expensive parts, which tests replace. */
export interface Tools {
  /** A prepared kernel with its source. */
  kernel(release: string): Promise<PreparedKernel>;
  /** Builds one cumulative module of patch files, in order. Throws the error of the catalogue that refuses it. */
  build(request: {
    readonly release: string;
    readonly patches: readonly string[];
    readonly cves: readonly string[];
    readonly version: number;
  }): Promise<BuiltModule>;
  /** Proves a module file; the proof is written beside it. Returns the reasons against it, if there are any. */
  prove(module: string, plan: 'quick' | 'full'): Promise<readonly string[]>;
  /** Adds the module file to a channel and publishes; `withdrawn` are CVEs that it no longer fixes, with the reason. */
  publish(channel: string, module: string, withdrawn: readonly { cve: string; reason: string }[]): Promise<void>;
}

export interface Factory {
  readonly config: FactoryConfig;
  readonly state: State;
  readonly tools: Tools;
}

export type StepName = 'ingest' | 'triage' | 'series' | 'build' | 'prove' | 'publish';

/** A job: a step, for one kernel. `ingest` is for all kernels. */
export interface Job {
  readonly step: StepName;
  readonly kernel: string;
}

/** The part of a series that is stored. */
export interface StoredPatch extends Omit<SeriesPatch, 'text'> {
  /** Digest of the patch file. */
  readonly digest: string;
}

export interface StoredSeries {
  readonly patches: readonly StoredPatch[];
  readonly dropped: readonly DroppedFix[];
  /** CVEs without a fix to apply, with the reason. */
  readonly without: readonly { readonly cve: string; readonly reason: string }[];
}

export interface StoredBuild {
  /** Digest of the stored series that it is made of. */
  readonly series: string;
  readonly version: number;
  readonly module?: {
    readonly name: string;
    readonly digest: string;
    readonly functions: readonly string[];
    /** Digest of its provenance. */
    readonly provenance?: string;
  };
  readonly cves: readonly string[];
  readonly patches: readonly { readonly commit: string; readonly subject: string; readonly cves: readonly string[] }[];
  readonly dropped: readonly { readonly commit: string; readonly cves: readonly string[]; readonly reason: string }[];
}

export interface StoredProof {
  readonly module: string;
  readonly verdict: 'proven' | 'refused' | 'not proven';
  readonly reasons: readonly string[];
}

export interface StoredPublication {
  readonly module: string;
  readonly version: number;
  readonly cves: readonly string[];
  readonly at: string;
}

/** The settings of a kernel; an Error for one that was removed from the settings while its job waited. */
export function kernelOf({ config }: Factory, release: string): FactoryKernel {
  const kernel = config.kernels.find((one) => one.release === release);
  if (kernel === undefined) throw new Error(`the kernel ${release} is not in factory.json`);
  return kernel;
}

/** CVEs that a person holds or withdrew, with the reason. */
export async function heldCves({
  state,
}: Factory): Promise<Map<string, { word: 'hold' | 'withdraw'; reason: string }>> {
  const held = new Map<string, { word: 'hold' | 'withdraw'; reason: string }>();
  for (const { subject, word, reason } of await state.decisions()) {
    if (word === 'hold' || word === 'withdraw') held.set(subject, { word, reason });
    else held.delete(subject);
  }
  return held;
}

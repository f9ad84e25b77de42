/** What every step works with. */
import type { Hazard, KpatchError } from 'kpatch';
import type { PreparedKernel } from 'kpatch/advisories';
import type { FactoryConfig, FactoryKernel } from '../config.ts';
import type { StoredDocument } from '../store/documents.ts';
import type { State } from '../store/state.ts';

/** A module, and the envelope that says what it was built from. */
export interface BuiltModule {
  readonly name: string;
  readonly module: Uint8Array;
  readonly functions: readonly string[];
  readonly provenance?: string;
}

/** Patch files of one kernel, and those of the same series that come before them. */
export interface SourceRequest {
  readonly release: string;
  readonly patches: readonly string[];
  readonly earlier: readonly string[];
}

export interface BuildOrder {
  readonly release: string;
  /** In order. */
  readonly patches: readonly string[];
  readonly cves: readonly string[];
  readonly version: number;
  /** Kinds of hazards that refuse the module. */
  readonly deny: readonly string[];
  /** Hazards that a person has accepted, see `hazardKey`. */
  readonly accepted: readonly string[];
}

export interface ProofOrder {
  /** The module file. */
  readonly module: string;
  readonly plan: 'quick' | 'full';
  /** Module files that it replaces: the upgrade from each and back is part of the proof. */
  readonly predecessors: readonly string[];
  /** The patch files that it was built from, for the report. */
  readonly patches: readonly string[];
}

export interface Proved {
  /** Why it is not proven; empty only if everything was proven. */
  readonly reasons: readonly string[];
  /** HTML. */
  readonly report?: string;
}

/** The expensive parts, which tests replace. */
export interface Tools {
  /** A prepared kernel with its source. */
  kernel(release: string): Promise<PreparedKernel>;
  /** The hazards of patches that would load and still be wrong, or the error of each request; nothing is compiled. */
  review(
    release: string,
    requests: readonly Omit<SourceRequest, 'release'>[],
  ): Promise<(readonly Hazard[] | KpatchError)[]>;
  /** Another patch with the same effect. Throws the error of the catalogue if no rule can make one. */
  rewrite(
    request: SourceRequest & { readonly rules: readonly string[] },
  ): Promise<{ readonly patch: string; readonly notes: readonly string[] }>;
  /** Builds one cumulative module. Throws the error of the catalogue that refuses it. */
  build(order: BuildOrder): Promise<BuiltModule>;
  /** Proves a module file; the proof is written beside it. */
  prove(order: ProofOrder): Promise<Proved>;
  /** Adds the module file to a channel and publishes; `withdrawn` are CVEs that it no longer fixes, with the reason. */
  publish(channel: string, module: string, withdrawn: readonly { cve: string; reason: string }[]): Promise<void>;
}

export interface Factory {
  readonly config: FactoryConfig;
  readonly state: State;
  readonly tools: Tools;
}

export const stepNames = ['ingest', 'triage', 'series', 'review', 'build', 'prove', 'publish'] as const;
export type StepName = (typeof stepNames)[number];

/** A job: a step, for one kernel. `ingest` is for all kernels. */
export interface Job {
  readonly step: StepName;
  readonly kernel: string;
}

export type StoredSeries = StoredDocument<'series'>;
export type StoredPatch = StoredSeries['patches'][number];
export type StoredBuild = StoredDocument<'build'>;
export type StoredProof = StoredDocument<'proof'>;
export type StoredPublication = StoredDocument<'published'>;
/** Patches that are built rewritten, by the digest of the given one. */
export type StoredRewritings = StoredDocument<'rewritten'>;
/** Why commits are kept out of the series of a kernel. Version 0.1 wrote the reason alone. */
export type Exclusions = StoredDocument<'excluded'>;
export type Exclusion = Exclude<Exclusions[string], string>;

export const reasonOf = (exclusion: string | Exclusion): string =>
  typeof exclusion === 'string' ? exclusion : exclusion.reason;

/** Keeps a commit out of the series of a kernel; the log is stored. */
export async function exclude(
  { state }: Factory,
  release: string,
  commit: string,
  { log, ...why }: Exclusion,
): Promise<void> {
  const before = (await state.read('excluded', release)) ?? {};
  const excluded = { ...before, [commit]: { ...why, log: await state.blobs.put(log) } };
  await state.write('excluded', release, excluded);
}

/** The settings of a kernel; an Error for one that was removed from the settings while its job waited. */
export function kernelOf({ config }: Factory, release: string): FactoryKernel {
  const kernel = config.kernels.find((one) => one.release === release);
  if (kernel === undefined) throw new Error(`the kernel ${release} is not in factory.json`);
  return kernel;
}

/** CVEs and commits whose hazards a person accepted. */
export async function acceptedSubjects({ state }: Factory): Promise<Set<string>> {
  return new Set((await state.decisions()).filter(({ word }) => word === 'accept').map(({ subject }) => subject));
}

/** CVEs that a person holds or withdrew, with the reason. */
export async function heldCves({
  state,
}: Factory): Promise<Map<string, { word: 'hold' | 'withdraw'; reason: string }>> {
  const held = new Map<string, { word: 'hold' | 'withdraw'; reason: string }>();
  for (const { subject, word, reason } of await state.decisions()) {
    if (word === 'hold' || word === 'withdraw') held.set(subject, { word, reason });
    else if (word === 'release') held.delete(subject);
  }
  return held;
}

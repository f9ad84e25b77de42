/**
 * kpatch as a library: build a live patch, compare objects, prove a module in virtual machines, read modules, look at a host.
 *
 * Every function throws `KpatchError` with an entry of the catalogue (docs/errors.md). Paths are those of this machine, times
 * are milliseconds, digests are SHA-256 in lower-case hexadecimal.
 *
 * ```ts
 * import { build, hostStatus, readModule } from 'kpatch';
 *
 * const { module, functions } = await build({ patches: ['fix.patch'], release: '6.1.0-57-amd64' });
 * writeFileSync('fix.ko', module);
 * const replaced = readModule('fix.ko').manifest?.functions;
 * const active = hostStatus().patches;
 * ```
 */

import { KpatchError } from './base/errors/error.ts';
import { temporaryFolder } from './base/files.ts';
import { type Reporter, silentReporter } from './base/report.ts';
import { type BuildRequest, type BuildResult, build as buildModule } from './builder/build.ts';
import { thisMachine } from './host/machine/machine.ts';
import { type Status, statusOf } from './host/status.ts';
import { type ModuleFile, readModuleFile } from './host/store/module-file.ts';
import type { Proof } from './module/proof.ts';
import { KernelFacts } from './prepare/facts.ts';
import { holdKernel, kernelOfModule, prepareKernel } from './prepare/kernel.ts';
import { requireLivepatch } from './prepare/livepatch-support.ts';
import { kernelNamed, readSubject } from './prove/input/subject.ts';
import { readTestScript } from './prove/input/test-script.ts';
import { plans } from './prove/plans.ts';
import { prove as makeProof } from './prove/proof.ts';
import type { ProofEvent } from './prove/run/event.ts';
import type { Hazard } from './review/hazard.ts';
import { reviewPatches } from './review/patches.ts';
import { rewritePatches } from './rewrite/patches.ts';
import { noteText } from './rewrite/rewrite.ts';
import { readableFiles } from './sandbox/user.ts';
import { readSeries } from './source/series.ts';

export { consoleReporter, type Reporter, silentReporter } from './base/report.ts';
export { version } from './base/version.ts';
export type { BuildRequest, BuildResult, BuiltFunction } from './builder/build.ts';
export { diff } from './differ/diff.ts';
export type { ChangedFunction, DiffOptions, DiffResult } from './differ/options.ts';
export type { Status } from './host/status.ts';
export type { ModuleFile } from './host/store/module-file.ts';
export type { Manifest } from './module/manifest.ts';
export { type Proof, type ProofDemand, requireProof, signProof } from './module/proof.ts';
export type { ProofEvent } from './prove/run/event.ts';
export { type Hazard, kindNames as hazardKinds } from './review/hazard.ts';
export { hazardText } from './review/review.ts';
export { rulesAgainst as rewriteRulesAgainst } from './rewrite/patches.ts';
export { rules as rewriteRules } from './rewrite/rewrite.ts';
export { KpatchError };

/** A build request in which everything but the patches has a default: cumulative, strict, no CVE names. */
export type LibraryBuildRequest = Pick<BuildRequest, 'patches'> & Partial<BuildRequest>;

/**
 * Builds a livepatch module. It prepares the kernel first if it is not in the cache, which downloads its packages.
 * Errors: as `kpatch build`; `no-change` if the patches change no code of this kernel.
 */
export async function build(request: LibraryBuildRequest, report: Reporter = silentReporter()): Promise<BuildResult> {
  const defaults = { cves: [], replace: true, skipCompilerCheck: false, keepLineChanges: false };
  return await buildModule({ ...defaults, ...request }, report);
}

export interface SeriesRequest {
  /** As in `uname -r`. */
  readonly release: string;
  /** Patch files, in order. */
  readonly patches: readonly string[];
  /** Patch files of the same series that come before them. */
  readonly earlier?: readonly string[];
}

/**
 * The hazards of patches that would load and still be wrong (docs/review.md), for each request of one kernel. It compiles nothing.
 * Errors: as `kpatch review`, in place of the hazards of the request that they concern.
 */
export async function reviewEach(
  release: string,
  requests: readonly Omit<SeriesRequest, 'release'>[],
  report: Reporter = silentReporter(),
): Promise<(readonly Hazard[] | KpatchError)[]> {
  return await onSource(release, report, async (facts) => {
    const found: (readonly Hazard[] | KpatchError)[] = [];
    for (const { patches, earlier = [] } of requests) {
      using folder = temporaryFolder('kpatch-review-');
      try {
        found.push((await reviewPatches(facts, readSeries(patches), folder.path, readSeries(earlier))).hazards);
      } catch (error) {
        if (!(error instanceof KpatchError) || error.code === 'interrupted') throw error;
        found.push(error);
      }
    }
    return found;
  });
}

/**
 * Turns patches that cannot be live patched into one with the same effect on new calls, and says what each rule did and assumes
 * (docs/rewrite.md). `rules` are names of rules, see `rewriteRulesAgainst`. Errors: as `kpatch rewrite`.
 */
export async function rewrite(
  request: SeriesRequest & { readonly rules: readonly string[] },
  report: Reporter = silentReporter(),
): Promise<{ readonly patch: string; readonly notes: readonly string[] }> {
  const { release, patches, earlier = [], rules } = request;
  return await onSource(release, report, async (facts) => {
    using folder = temporaryFolder('kpatch-rewrite-');
    const { patch, notes } = await rewritePatches(facts, readSeries(patches), folder.path, rules, {
      earlier: readSeries(earlier),
    });
    return { patch, notes: notes.map(noteText) };
  });
}

async function onSource<T>(release: string, report: Reporter, work: (facts: KernelFacts) => Promise<T>): Promise<T> {
  const kernel = await prepareKernel(release, { report });
  using _held = await holdKernel(kernel);
  using _readable = readableFiles();
  return await work(new KernelFacts(kernel));
}

/**
 * Reads a livepatch module file, also one that another tool built: `manifest` is undefined then. It verifies no signature.
 * Errors: `file-unreadable`, `module-not-livepatch`, `module-compressed`, `manifest-damaged`, those of reading ELF.
 */
export function readModule(path: string): ModuleFile {
  return readModuleFile(path);
}

/** The live patches of this machine, or of an image below `root`. It changes nothing and needs no privileges. */
export function hostStatus(root = '/'): Status {
  return statusOf(thisMachine(root));
}

export interface ProveOptions {
  readonly plan?: 'quick' | 'full';
  /** The author's test: a shell script that runs before, with and after the patch. */
  readonly test?: string;
  /** Modules that this one replaces: the upgrade from each, and back, is tried. */
  readonly predecessors?: readonly string[];
  readonly onEvent?: (event: ProofEvent) => void;
  readonly signal?: AbortSignal;
  readonly report?: Reporter;
}

/**
 * Runs a plan of checks on the kernel that the module was built for, in virtual machines, and returns the unsigned proof.
 * A module that fails is no error: read `verdict` and `reasons`. Errors: as `kpatch prove`.
 */
export async function prove(module: string, options: ProveOptions = {}): Promise<Proof> {
  const { plan = 'quick', test, predecessors = [], onEvent = () => {}, signal, report = silentReporter() } = options;
  const subject = readSubject(module);
  const kernel = await kernelOfModule(kernelNamed(subject), { report });
  requireLivepatch(kernel);
  using _held = await holdKernel(kernel);
  const { release, buildId, paths } = kernel;
  return await makeProof({
    subject,
    predecessors: predecessors.map(readSubject),
    kernel: { release, buildId, image: paths.image, modules: paths.modules, facts: new KernelFacts(kernel) },
    test: test === undefined ? undefined : readTestScript(test),
    plan: plans[plan],
    onEvent,
    ...(signal === undefined ? {} : { signal }),
  });
}

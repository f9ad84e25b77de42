/** The stages of a build: patches → plan → compiled pairs → differences → module. One function for each stage, in this order. */

import { sha256 } from '../base/digest.ts';
import { fail } from '../base/errors/error.ts';
import { temporaryFolder } from '../base/files.ts';
import type { Reporter, StageTime } from '../base/report.ts';
import { version as toolVersion } from '../base/version.ts';
import type { DiffResult } from '../differ/options.ts';
import type { CustomParts } from '../distro/custom/custom.ts';
import { objtoolSettings } from '../kbuild/objtool.ts';
import type { SourceOverlay } from '../kbuild/overlay.ts';
import type { TargetKernel } from '../kernel/target.ts';
import { checkModule, kernelVermagic, type ModuleReport } from '../module/check/check.ts';
import { makeModule } from '../module/make/module.ts';
import { checkSigningKey, type SigningKey, signModule } from '../module/make/sign.ts';
import type { Manifest, ShieldNote } from '../module/manifest.ts';
import { checkName, nameFor } from '../module/name.ts';
import { has, type KernelRules } from '../platform/kernel-rules.ts';
import { KernelFacts } from '../prepare/facts.ts';
import { holdKernel, type KernelSource, prepareCustomKernel, prepareKernel } from '../prepare/kernel.ts';
import { isSandboxed } from '../sandbox/policy.ts';
import { readableFiles } from '../sandbox/user.ts';
import type { Adjustment } from '../source/apply.ts';
import { cvesOf } from '../source/cves.ts';
import type { SourcePatch } from '../source/patch.ts';
import { readSeries } from '../source/series.ts';
import { checkCompiler } from '../toolchain/compiler.ts';
import { type Cause, Causes, type Edit } from './cause.ts';
import { type Difference, PairComparison, requireRunPre } from './compare.ts';
import { type CompileInput, compileInTree, compileOutOfTree } from './compiled.ts';
import { nothingChanged } from './irrelevance.ts';
import { type OutOfTreeModule, readGivenModule } from './out-of-tree.ts';
import type { LeftOut } from './plan.ts';
import { requireResolved } from './rules/definitions.ts';
import { stackWarnings } from './rules/stacks.ts';
import { statesOf } from './rules/states.ts';
import { checkSuccessor, readPredecessor, successorVersion } from './successor.ts';

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
  /** Recorded in the manifest if the patch is a shield. */
  readonly shield?: ShieldNote;
  readonly jobs?: number;
}

export interface BuildResult {
  readonly kernel: TargetKernel;
  readonly name: string;
  /** The module, signed if requested. */
  readonly module: Uint8Array;
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
  /** Notes of the differ: what it skipped or treated specially. */
  readonly notes: readonly string[];
  readonly times: readonly StageTime[];
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

/**
 * Builds a livepatch module. The prepared kernel is only read; all work happens in temporary folders, which are removed.
 * Errors: those of reading and applying patches, of kernels, compilation, differ, linking, checking and signing, and of the
 * previous module; `no-change` if no code changes.
 */
export async function build(request: BuildRequest, report: Reporter): Promise<BuildResult> {
  const patches = readSeries(request.patches);
  const name = request.name === undefined ? nameFor(patches[0]!.name) : checkName(request.name);
  if (request.sign !== undefined) checkSigningKey(request.sign);
  const module = request.outOfTree === undefined ? undefined : await readGivenModule(request.outOfTree.module);
  const { release = module?.release, parts } = request;
  const kernel = await report.stage('target kernel', () =>
    parts === undefined
      ? prepareKernel(release, { ...request.kernelSource, report })
      : prepareCustomKernel(parts, { report }),
  );
  using _held = await holdKernel(kernel);
  const facts = new KernelFacts(kernel);
  await checkTarget(facts, request, report);
  const previous = request.after === undefined ? undefined : readPredecessor(request.after, kernel);
  const version = successorVersion(previous, request.version);
  if (!isSandboxed()) report.warn('no sandbox: the compiler and its tools run with all your rights');
  using _readable = readableFiles();
  using work = temporaryFolder('kpatch-build-');
  const compile = module === undefined ? compileInTree : compileOutOfTree;
  const comparison = new PairComparison(facts, {
    keepLineChanges: request.keepLineChanges,
    acceptLayouts: request.acceptLayouts ?? [],
    leaveOutInit: request.leaveOutInit === true,
  });
  const look: CompileInput['look'] = (pairs) => comparison.add(pairs);
  const compiled = await compile({ request, patches, facts, module, folder: work.path, report, look });
  const { pairs, patched, adjustments, edits, leftOut } = compiled;
  await report.stage('compare', () => comparison.add(pairs));
  const { differences } = comparison;
  if (!differences.some(({ result }) => hasEffect(result))) {
    const added = differences.flatMap(({ result }) => result.functions.map(({ name }) => name));
    const { leftOut: changes, notes } = comparison;
    const elsewhere = await compiled.elsewhere();
    throw nothingChanged({ release: kernel.release, leftOut, changes, notes, added, elsewhere });
  }
  await requireResolved(differences, kernel.release, (name) => facts.requiredBy(name));
  if (request.skipRunPre)
    report.warn('run-pre match skipped: the replaced functions were not compared with the code of the kernel');
  else await report.stage('run-pre match', () => requireRunPre(differences, kernel.release));
  const functions = differences.flatMap((difference) =>
    describe(difference, patched, edits, request.skipRunPre !== true),
  );
  for (const warning of stackWarnings(functions, pairs)) report.warn(warning);
  const copies = (await compiled.elsewhere()).filter(({ file }) => !file.endsWith('.h'));
  const rules = await facts.rules();
  const states = statesOf(
    pairs.map(({ unit, patched }) => ({ unit: unit.object, bytes: patched.bytes })),
    rules,
  );
  const manifest = manifestOf({ request, name, version, kernel, patches, functions, states });
  if (previous !== undefined) checkSuccessor(previous, manifest, request.withdraw ?? []);
  const made = await report.stage('link', () =>
    makeModule({
      kernel,
      rules,
      manifest,
      differences: differences.map(({ object, result }) => ({ object, bytes: result.output() })),
      namespaces: [...new Set(differences.flatMap(({ result }) => result.namespaces))].sort(),
      settings: objtoolSettings(facts.config),
    }),
  );
  const checked = await report.stage('check', async () =>
    checkModule(made.bytes, `${name}.ko`, facts, await kernelVermagic(facts)),
  );
  const hash = facts.config.get('MODULE_SIG_HASH') ?? 'sha256';
  const signed = request.sign === undefined ? made.bytes : await signModule(made.bytes, request.sign, hash);
  return {
    kernel,
    name,
    module: signed,
    sha256: sha256(made.bytes),
    version,
    signed: request.sign !== undefined,
    checked,
    glue: made.glue,
    units: compiled.units,
    leftOut,
    adjustments,
    functions,
    notes: [
      ...comparison.notes,
      ...copies.map(({ file, reason }) => `left out: ${file}: ${reason}; that copy does not change`),
      ...comesOnlyOnce(differences, kernel.release, rules),
    ],
    times: report.times,
  };
}

/** False if there are only new functions, which nothing in the running kernel calls. */
function hasEffect({ functions, callbacks }: DiffResult): boolean {
  return callbacks || functions.some(({ kind }) => kind === 'changed');
}

/**
 * Before Linux 6.3 the kernel does not clear livepatch relocations when the module they refer to is removed, and refuses to
 * load that module again. From 5.8 on the patch clears them itself (module/make/reload.ts).
 */
function comesOnlyOnce(differences: readonly Difference[], release: string, rules: KernelRules): string[] {
  if (has(rules, 'earlyRelocations') || has(rules, 'clearedRelocations')) return [];
  const bound = differences.filter(({ object, result }) => {
    return object !== 'vmlinux' && result.references.some((reference) => reference.object === object);
  });
  return [...new Set(bound.map(({ object }) => object))].map((object) => {
    return `${object} cannot be loaded again if it is removed while this patch is active: ${release} lacks the fix of Linux 6.3`;
  });
}

/** Errors: `kernel-no-livepatch`, `kernel-compiler`, `tool-missing`. */
async function checkTarget(facts: KernelFacts, request: BuildRequest, report: Reporter): Promise<void> {
  const { kernel } = facts;
  if (!kernel.livepatch) throw fail('kernel-no-livepatch', { release: kernel.release, option: 'CONFIG_LIVEPATCH' });
  const { same, found } = await checkCompiler(kernel, { accept: request.skipCompilerCheck });
  if (!same) report.warn(`compiling with "${found}" instead of "${kernel.compiler.builtBy}"`);
}

function describe(
  difference: Difference,
  patched: SourceOverlay,
  edits: readonly Edit[],
  matched: boolean,
): BuiltFunction[] {
  const { unit, object, result, runPre } = difference;
  const reaching = edits.filter(({ file }) => unit.through.includes(file));
  const causes = new Causes(patched, unit.object.replace(/\.o$/, '.c'), reaching);
  return result.functions.map(({ name, sympos, kind, reasons, source }) => {
    const cause = causes.of(name);
    return {
      name,
      object,
      sympos: sympos ?? 0,
      kind,
      unit: unit.object,
      ...digestOf(kind === 'changed' && matched ? runPre.digest(name) : undefined),
      ...(source === undefined ? {} : { source }),
      reasons: reasons.map(({ text }) => text),
      cause,
      patches: cause.patches,
    };
  });
}

function manifestOf(input: {
  readonly request: BuildRequest;
  readonly name: string;
  readonly version: number;
  readonly kernel: TargetKernel;
  readonly patches: readonly SourcePatch[];
  readonly functions: readonly BuiltFunction[];
  readonly states: Manifest['states'];
}): Manifest {
  const { request, name, version, kernel, patches, functions, states } = input;
  return {
    schema: 'kpatch.manifest/1',
    name,
    version,
    release: kernel.release,
    arch: kernel.arch,
    ...(kernel.buildId === undefined ? {} : { buildId: kernel.buildId }),
    replace: request.replace,
    functions: functions
      .filter(({ kind }) => kind === 'changed')
      .map(({ name, object, sympos, digest, patches }) => ({ name, object, sympos, ...digestOf(digest), patches })),
    cves: cvesOf(request.cves, patches),
    states,
    patches: patches.map(({ name, sha256 }) => ({ name, sha256 })),
    runPre: request.skipRunPre ? 'skipped' : 'matched',
    ...(isSandboxed() ? {} : { sandbox: 'none' }),
    ...(request.shield === undefined ? {} : { shield: request.shield }),
    tool: `kpatch ${toolVersion}`,
  };
}

function digestOf(digest: string | undefined): { digest?: string } {
  return digest === undefined ? {} : { digest };
}

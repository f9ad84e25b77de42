/** The stages of a build: patches → plan → compiled pairs → differences → module. One function for each stage, in this order. */

import { sha256 } from '../base/digest.ts';
import { fail } from '../base/errors/error.ts';
import { temporaryFolder } from '../base/files.ts';
import type { Reporter } from '../base/report.ts';
import type { DiffResult } from '../differ/options.ts';
import { objtoolSettings } from '../kbuild/objtool.ts';
import { checkModule, kernelVermagic } from '../module/check/check.ts';
import { makeModule } from '../module/make/module.ts';
import { checkSigningKey, signModule } from '../module/make/sign.ts';
import { checkName, nameFor } from '../module/name.ts';
import { has, type KernelRules } from '../platform/kernel-rules.ts';
import { KernelFacts } from '../prepare/facts.ts';
import { holdKernel, prepareCustomKernel, prepareKernel } from '../prepare/kernel.ts';
import { provenanceOf } from '../provenance/slsa.ts';
import { isSandboxed } from '../sandbox/policy.ts';
import { readableFiles } from '../sandbox/user.ts';
import { readSeries } from '../source/series.ts';
import { checkCompiler } from '../toolchain/compiler.ts';
import { type Difference, PairComparison, requireRunPre } from './compare.ts';
import { type CompileInput, compileInTree, compileOutOfTree } from './compiled.ts';
import { describe, manifestOf, parametersOf, settingsOf } from './describe.ts';
import { kernelInputs, patchInputs } from './inputs.ts';
import { nothingChanged } from './irrelevance.ts';
import { readGivenModule } from './out-of-tree.ts';
import type { BuildRequest, BuildResult } from './request.ts';
import { requireResolved } from './rules/definitions.ts';
import { stackWarnings } from './rules/stacks.ts';
import { statesOf } from './rules/states.ts';
import { checkSuccessor, readPredecessor, successorVersion } from './successor.ts';

export type { BuildRequest, BuildResult, BuiltFunction } from './request.ts';

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
  const inputs = kernelInputs(kernel);
  inputs.catch(() => {}); // it is awaited later, and the build may fail before
  const facts = new KernelFacts(kernel);
  const compilerText = await checkTarget(facts, request, report);
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
  const provenance = await provenanceOf(
    {
      parameters: parametersOf(request, manifest),
      internal: settingsOf(kernel, compilerText),
      dependencies: [...patchInputs(patches), ...(await inputs)],
      file: signed,
      unsigned: made.bytes,
    },
    request.builder,
  );
  return {
    kernel,
    name,
    provenance,
    module: signed,
    unsigned: made.bytes,
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

/** Gives the version text of the compiler. Errors: `kernel-no-livepatch`, `kernel-compiler`, `tool-missing`. */
async function checkTarget(facts: KernelFacts, request: BuildRequest, report: Reporter): Promise<string> {
  const { kernel } = facts;
  if (!kernel.livepatch) throw fail('kernel-no-livepatch', { release: kernel.release, option: 'CONFIG_LIVEPATCH' });
  const { same, found } = await checkCompiler(kernel, { accept: request.skipCompilerCheck });
  if (!same) report.warn(`compiling with "${found}" instead of "${kernel.compiler.builtBy}"`);
  return found;
}

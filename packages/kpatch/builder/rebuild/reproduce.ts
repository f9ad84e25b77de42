/**
 * Rebuilds a module from the inputs that its provenance records, and compares the bytes. Every input is checked before the
 * build: another kernel would give another module and show nothing. The recorded toolchain is fetched; where its packages are
 * gone, the rebuild uses what there is, and says so.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { sha256 } from '../../base/digest.ts';
import { failure } from '../../base/errors/error.ts';
import { plural } from '../../base/errors/plural.ts';
import { readBytes, temporaryFolder } from '../../base/files.ts';
import type { Reporter } from '../../base/report.ts';
import { version } from '../../base/version.ts';
import { isSandboxed } from '../../base/workspace.ts';
import type { CustomParts } from '../../distro/custom/custom.ts';
import { parseDistribution } from '../../distro/registry.ts';
import { readModuleContent } from '../../module/content.ts';
import type { PublicKey } from '../../module/public-key.ts';
import type { KernelSource } from '../../prepare/choice.ts';
import { prepareCustomKernel, prepareKernel } from '../../prepare/kernel.ts';
import { provenanceProblem } from '../../provenance/chain.ts';
import { ownDigest } from '../../provenance/slsa.ts';
import { type ProvenanceStatement, type Resource, readProvenance } from '../../provenance/statement.ts';
import { build } from '../build.ts';
import type { OutOfTreeModule } from '../out-of-tree.ts';
import type { BuildRequest } from '../request.ts';
import { kernelInputs } from '../stages/inputs.ts';
import { type FileDifference, firstDifference } from './first-difference.ts';
import {
  isToolchainPackage,
  recordedToolchain,
  type ToolchainDifference,
  toolchainDifferences,
} from './recorded-toolchain.ts';

export interface ReproduceRequest {
  readonly module: string;
  readonly provenance: string;
  /** Keys of which one must have signed the provenance; any statement counts if there are none. */
  readonly keys: readonly PublicKey[];
  /** Patch files, for a statement that does not contain them. */
  readonly patches: readonly string[];
  readonly kernelSource: KernelSource;
  /** The parts of a custom kernel, and an out-of-tree module: the statement has only their digests. */
  readonly parts?: CustomParts;
  readonly outOfTree?: OutOfTreeModule;
  readonly jobs?: number;
}

export interface Reproduction {
  /** Digests without the appended signature. */
  readonly given: string;
  readonly rebuilt: string;
  /** Where they first differ; undefined if they are identical. */
  readonly difference: FileDifference | undefined;
  /** True if one of the keys signed the provenance. */
  readonly signed: boolean;
  /** The recorded inputs that were compared with those of this machine. */
  readonly inputs: readonly { readonly role: string; readonly name: string }[];
  /** Packages of the toolchain that were not the recorded ones; empty if the recorded toolchain was used. */
  readonly toolchain: readonly ToolchainDifference[];
}

/**
 * Rebuilds a module. What is missing is fetched. Errors: `provenance-invalid`, `provenance-other-module`, `reproduce-input`
 * and `reproduce-differs` with the name of the input, those of `build`.
 */
export async function reproduce(request: ReproduceRequest, report: Reporter): Promise<Reproduction> {
  const module = readModuleContent(request.module);
  const { statement, signedBy } = readProvenance(readBytes(request.provenance), request.provenance, request.keys);
  const given = module.unsigned;
  const digests = { sha256: module.sha256, unsigned: sha256(given), manifest: module.manifest };
  if (provenanceProblem(statement, digests) !== undefined)
    throw failure('provenance-other-module', { file: request.provenance, module: request.module });
  if (request.keys.length > 0 && signedBy.length === 0) {
    const problem = 'none of the given keys signed it';
    throw failure('provenance-invalid', { file: request.provenance, problem });
  }
  const { externalParameters, internalParameters, resolvedDependencies } = statement.predicate.buildDefinition;
  await requireTool(statement, report);
  if (internalParameters.sandbox !== isSandboxed())
    report.warn(`it was built ${internalParameters.sandbox ? 'in' : 'without'} a sandbox, and this rebuild is not`);
  using folder = temporaryFolder('kpatch-reproduce-');
  const patches = patchFiles(resolvedDependencies, request.patches, folder.path);
  const shield = module.manifest?.shield;
  const wanted = { ...requestOf(request, statement, patches), ...(shield === undefined ? {} : { shield }) };
  const { inputs, toolchain } = await checkInputs(wanted, internalParameters.compiler, resolvedDependencies, report);
  const { unsigned } = await build(wanted, report);
  return {
    given: digests.unsigned,
    rebuilt: sha256(unsigned),
    difference: firstDifference(given, unsigned, externalParameters.name),
    signed: signedBy.length > 0,
    inputs: [...resolvedDependencies.filter(isPatch), ...inputs].map((one) => ({
      role: roleOf(one),
      name: one.name ?? '',
    })),
    toolchain,
  };
}

/** Error: `reproduce-differs` for another version; another build of the same version is only noted. */
async function requireTool({ predicate }: ProvenanceStatement, report: Reporter): Promise<void> {
  const { builder } = predicate.runDetails;
  const recorded = builder.version.kpatch ?? 'unknown';
  if (recorded !== version)
    throw failure('reproduce-differs', { input: `kpatch ${recorded}`, problem: `this is kpatch ${version}` });
  const own = (await ownDigest()).digest ?? {};
  const [theirs] = builder.builderDependencies ?? [];
  const same = Object.entries(own).some(([kind, digest]) => theirs?.digest?.[kind] === digest);
  if (!same) report.warn(`the module was built by another build of kpatch ${version}`);
}

/** Patch files with the recorded names and contents. Error: `reproduce-input`. */
function patchFiles(dependencies: readonly Resource[], given: readonly string[], folder: string): string[] {
  const byDigest = new Map(given.map((file) => [sha256(readBytes(file)), file]));
  return dependencies.filter(isPatch).map(({ name = '', digest, content }, index) => {
    const file = byDigest.get(digest?.sha256 ?? '');
    const bytes = file === undefined ? Buffer.from(content ?? '', 'base64') : readBytes(file);
    const problem =
      file === undefined && content === undefined
        ? 'its content was not recorded; give it with --patch'
        : 'its digest differs';
    if (sha256(bytes) !== digest?.sha256) throw failure('reproduce-input', { input: `the patch ${name}`, problem });
    // Each in a folder of its own: two may have the same name.
    const place = join(folder, String(index));
    mkdirSync(place);
    const path = join(place, basename(name) || 'patch');
    writeFileSync(path, bytes);
    return path;
  });
}

/** Error: `reproduce-input` for parts that only the user has. */
function requestOf(request: ReproduceRequest, statement: ProvenanceStatement, patches: string[]): BuildRequest {
  const { parts, outOfTree, jobs, kernelSource } = request;
  const { externalParameters: all, internalParameters: settings } = statement.predicate.buildDefinition;
  if (all.custom && parts === undefined)
    throw failure('reproduce-input', {
      input: `the kernel ${all.release}`,
      problem: 'give --image, --headers and --source',
    });
  if (all.outOfTree !== undefined && outOfTree === undefined) {
    const problem = 'give --oot-module and --oot-module-src';
    throw failure('reproduce-input', { input: `the module ${all.outOfTree}`, problem });
  }
  const { origin, toolchain } = settings;
  return {
    patches,
    ...(all.custom ? { parts: parts! } : { release: all.release }),
    kernelSource: {
      ...kernelSource,
      ...(origin === undefined || kernelSource.distribution !== undefined
        ? {}
        : { distribution: parseDistribution(origin) }),
      ...(toolchain === 'local' ? { localCompiler: true } : {}),
      pins: recordedToolchain(statement.predicate.buildDefinition.resolvedDependencies),
    },
    ...(all.outOfTree === undefined ? {} : { outOfTree: outOfTree! }),
    name: all.name,
    version: all.version,
    cves: all.cves,
    replace: all.replace,
    skipCompilerCheck: all.skipCompilerCheck,
    keepLineChanges: all.keepLineChanges,
    acceptLayouts: all.acceptLayouts,
    leaveOutInit: all.leaveOutInit,
    skipRunPre: all.skipRunPre,
    ...(jobs === undefined ? {} : { jobs }),
  };
}

/** Compares what this machine would build with. Errors: `reproduce-input`, `reproduce-differs`, those of `prepareKernel`. */
async function checkInputs(
  wanted: BuildRequest,
  compiler: string,
  recorded: readonly Resource[],
  report: Reporter,
): Promise<{ inputs: Resource[]; toolchain: ToolchainDifference[] }> {
  const kernel =
    wanted.parts === undefined
      ? await prepareKernel(wanted.release, { ...wanted.kernelSource, report })
      : await prepareCustomKernel(wanted.parts, { report });
  const here = await kernelInputs(kernel);
  const compared: Resource[] = [];
  // Without a build root there is nothing to compare its packages with: each is missing.
  const hasRoot = here.some(isToolchainPackage);
  const toolchain = hasRoot ? toolchainDifferences(recorded, here) : [];
  const differing = new Set(toolchain.map(({ name }) => name));
  for (const one of recorded.filter((resource) => !isPatch(resource))) {
    if (isToolchainPackage(one) && differing.has(one.name ?? '')) continue;
    const twin = here.find((other) => roleOf(other) === roleOf(one) && other.name === one.name);
    const input = `the ${roleOf(one)} ${one.name ?? ''}`;
    if (twin === undefined)
      throw failure('reproduce-input', {
        input,
        problem: `recorded is ${one.uri ?? one.digest?.sha256 ?? 'its name'}; compiler: ${compiler}`,
      });
    const problem = differenceOf(one, twin);
    if (problem !== undefined) throw failure('reproduce-differs', { input, problem });
    compared.push(one);
  }
  if (toolchain.length > 0)
    report.warn(`${plural(toolchain.length, 'package')} of the recorded toolchain cannot be had; building with others`);
  return { inputs: compared, toolchain };
}

function differenceOf(recorded: Resource, here: Resource): string | undefined {
  if (recorded.uri !== here.uri) return `recorded is ${recorded.uri}, here is ${here.uri}`;
  const [one, other] = [recorded.digest?.sha256, here.digest?.sha256];
  if (one === undefined || other === undefined || one === other) return undefined;
  return `recorded is the digest ${one.slice(0, 16)}, here is ${other.slice(0, 16)}`;
}

const roleOf = ({ annotations }: Resource): string => String(annotations?.role ?? 'input');
const isPatch = (resource: Resource): boolean => roleOf(resource) === 'patch';

/** What is said of a finished build: its functions, its manifest, the parameters in its provenance. */
import { basename } from 'node:path';
import { version as toolVersion } from '../base/version.ts';
import type { SourceOverlay } from '../kbuild/overlay.ts';
import type { TargetKernel } from '../kernel/target.ts';
import type { Manifest } from '../module/manifest.ts';
import type { BuildFacts, Parameters } from '../provenance/slsa.ts';
import { isSandboxed } from '../sandbox/policy.ts';
import { cvesOf } from '../source/cves.ts';
import type { SourcePatch } from '../source/patch.ts';
import { Causes, type Edit } from './cause.ts';
import type { Difference } from './compare.ts';
import type { BuildRequest, BuiltFunction } from './request.ts';

/** The functions of a unit, with everything known about them. */
export function describe(
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

/** The manifest of the module. */
export function manifestOf(input: {
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
    tool: `kpatch ${toolVersion}`,
  };
}

function digestOf(digest: string | undefined): { digest?: string } {
  return digest === undefined ? {} : { digest };
}

/** What the user asked for, as the provenance records it. */
export function parametersOf(request: BuildRequest, manifest: Manifest): Parameters {
  const { name, version, line, release, patches, cves, replace } = manifest;
  return {
    release,
    name,
    version,
    ...(line === undefined ? {} : { line }),
    patches: patches.map((patch) => patch.name),
    cves: [...cves],
    replace,
    acceptLayouts: [...(request.acceptLayouts ?? [])],
    leaveOutInit: request.leaveOutInit === true,
    keepLineChanges: request.keepLineChanges,
    skipRunPre: request.skipRunPre === true,
    skipCompilerCheck: request.skipCompilerCheck,
    ...(request.outOfTree === undefined ? {} : { outOfTree: basename(request.outOfTree.module) }),
    custom: request.parts !== undefined,
  };
}

/** How it was built, as the provenance records it. */
export function settingsOf(kernel: TargetKernel, compiler: string): BuildFacts['internal'] {
  const { sourceVersion, distribution, origin, buildId } = kernel;
  return {
    sourceVersion,
    distribution,
    ...(origin === undefined ? {} : { origin }),
    ...(buildId === undefined ? {} : { buildId }),
    compiler,
    toolchain: kernel.compiler.root === undefined ? 'local' : 'build root',
    sandbox: isSandboxed(),
  };
}

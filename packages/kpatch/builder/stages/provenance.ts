/** States what the module was built from. */
import { basename } from 'node:path';
import { isSandboxed } from '../../base/workspace.ts';
import type { Manifest } from '../../module/manifest.ts';
import { type BuildFacts, type Parameters, provenanceOf } from '../../provenance/slsa.ts';
import type { ProvenanceStatement } from '../../provenance/statement.ts';
import type { BuildRequest } from '../request.ts';
import { patchInputs } from './inputs.ts';
import type { FinishedModule } from './module.ts';
import type { Order } from './order.ts';
import type { Target } from './target.ts';

/** The statement, not signed. */
export async function stateProvenance(
  { request, patches }: Order,
  target: Target,
  { bytes, unsigned, manifest }: FinishedModule,
): Promise<ProvenanceStatement> {
  const facts: BuildFacts = {
    parameters: parametersOf(request, manifest),
    internal: settingsOf(target),
    dependencies: [...patchInputs(patches), ...(await target.inputs)],
    file: bytes,
    unsigned,
  };
  return await provenanceOf(facts, request.builder);
}

function parametersOf(request: BuildRequest, manifest: Manifest): Parameters {
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

function settingsOf({ kernel, compiler }: Target): BuildFacts['internal'] {
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

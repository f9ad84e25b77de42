/** Makes, checks and signs the module. */
import { sha256 } from '../../base/digest.ts';
import type { Reporter } from '../../base/report.ts';
import { version as toolVersion } from '../../base/version.ts';
import { isSandboxed } from '../../base/workspace.ts';
import { objtoolSettings } from '../../kbuild/objtool.ts';
import { checkModule, kernelVermagic, type ModuleReport } from '../../module/check/check.ts';
import { makeModule } from '../../module/make/module.ts';
import { signModule } from '../../module/make/sign.ts';
import type { Manifest } from '../../module/manifest.ts';
import type { Hazard } from '../../review/hazard.ts';
import { cvesOf } from '../../source/cves.ts';
import type { BuiltFunction } from '../request.ts';
import { statesOf } from '../rules/states.ts';
import { checkSuccessor } from '../successor.ts';
import type { Compared } from './compare.ts';
import type { Order } from './order.ts';
import type { Target } from './target.ts';

export interface FinishedModule {
  /** Signed if requested. */
  readonly bytes: Uint8Array;
  readonly unsigned: Uint8Array;
  readonly manifest: Manifest;
  /** Digest of the module without its signature. */
  readonly sha256: string;
  readonly glue: string;
  readonly checked: ModuleReport;
}

/** Errors: those of states, of the previous module, of linking, checking and signing. */
export async function finishModule(
  { differences, states, hazards }: Compared & { readonly hazards: readonly Hazard[] },
  functions: readonly BuiltFunction[],
  order: Order,
  target: Target,
  report: Reporter,
): Promise<FinishedModule> {
  const { facts, kernel, previous } = target;
  const { request, name } = order;
  const rules = await facts.rules();
  const manifest = manifestOf(order, target, functions, statesOf(states, rules), hazards);
  if (previous !== undefined) checkSuccessor(previous, manifest, request.withdraw ?? []);
  const variables = await facts.variables();
  const made = await report.stage('link', () =>
    makeModule({
      kernel,
      rules,
      manifest,
      patches: differences.map(({ result }) => result.patch()),
      namespaces: [...new Set(differences.flatMap(({ result }) => result.namespaces))].sort(),
      settings: objtoolSettings(facts.config),
      recipe: { derived: facts.derived, variables },
    }),
  );
  const checked = await report.stage('check', async () =>
    checkModule(made.bytes, `${name}.ko`, facts, await kernelVermagic(facts)),
  );
  const hash = facts.config.get('MODULE_SIG_HASH') ?? 'sha256';
  const bytes = request.sign === undefined ? made.bytes : await signModule(made.bytes, request.sign, hash);
  return { bytes, unsigned: made.bytes, manifest, sha256: sha256(made.bytes), glue: made.glue, checked };
}

function manifestOf(
  { request, name, patches }: Order,
  { kernel, version }: Target,
  functions: readonly BuiltFunction[],
  states: Manifest['states'],
  hazards: readonly Hazard[],
): Manifest {
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
      .map(({ name, object, sympos, digest, patches }) => {
        return { name, object, sympos, ...(digest === undefined ? {} : { digest }), patches };
      }),
    cves: cvesOf(request.cves, patches),
    states,
    patches: patches.map(({ name, sha256 }) => ({ name, sha256 })),
    runPre: request.skipRunPre ? 'skipped' : 'matched',
    ...(isSandboxed() ? {} : { sandbox: 'none' }),
    ...(request.shield === undefined ? { review: hazards.map((one) => ({ ...one })) } : {}),
    ...(request.shield === undefined ? {} : { shield: request.shield }),
    tool: `kpatch ${toolVersion}`,
  };
}

/** The kernel of a machine as triage sees it: versions, changelogs, active live patches, modules, prepared source. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ecosystemHere, installedChangelogs, runningRelease, suiteOf, versionsFor } from '../../advisory/kernel.ts';
import type { Advisory } from '../../advisory/record.ts';
import { defaultSelection, readSelection, type SelectionRules } from '../../advisory/selection.ts';
import { readSources } from '../../advisory/sources.ts';
import type { TriagedCve } from '../../advisory/triage/answer.ts';
import type { KernelCode, TriageKernel } from '../../advisory/triage/kernel.ts';
import { triageAll, withNamed } from '../../advisory/triage/triage.ts';
import { readBytes } from '../../base/files.ts';
import { thisMachine } from '../../host/machine/machine.ts';
import { statusOf } from '../../host/status.ts';
import { readManifest } from '../../module/manifest.ts';
import { machineNameHere } from '../../platform/registry.ts';
import { KernelFacts } from '../../prepare/facts.ts';
import { inspectCached } from '../../prepare/manifest.ts';
import { machineCode, preparedCode } from './prepared-code.ts';

export interface MachineOptions {
  readonly kernel?: string;
  readonly from?: string;
  readonly distribution?: string;
  readonly selection?: string;
  readonly module?: readonly string[];
  readonly root?: string;
}

export interface MachineTriage {
  readonly kernel: TriageKernel;
  /** `uname -m` of the machine. */
  readonly arch: string;
  readonly advisories: ReadonlyMap<string, Advisory>;
  readonly triaged: readonly TriagedCve[];
  readonly selection: SelectionRules;
  /** Files that are not advisories, with the reason. */
  readonly skipped: readonly string[];
}

/**
 * Triage of one machine from these files and the changelogs that are installed. A prepared kernel of the same release and
 * version adds what its source and configuration tell.
 * Errors: those of reading advisories and the selection, `channel-kernel-version`.
 */
export async function triageMachine(files: readonly string[], options: MachineOptions): Promise<MachineTriage> {
  const root = options.root ?? '/';
  const release = options.kernel ?? runningRelease(root);
  const selection = options.selection === undefined ? defaultSelection : readSelection(options.selection);
  const given = readSources(files);
  const versions = await versionsFor(release, given.changelogs, options, root);
  const installed = readSources(installedChangelogs(versions.from, root).slice(0, 4));
  const changelogs = [...given.changelogs, ...installed.changelogs];
  const advisories = withNamed(given.advisories, changelogs);
  const distribution = options.distribution ?? ecosystemHere(root);
  const suite = suiteOf(root);
  const arch = machineNameHere();
  const modules = modulesOf(release, root);
  const kernel: TriageKernel = {
    release,
    scheme: versions.scheme,
    version: versions.from,
    ...(distribution === undefined ? {} : { distribution }),
    ...(suite === undefined ? {} : { suite }),
    ...(modules === undefined ? {} : { modules }),
    changelogs,
    live: liveFixes(options.module, release, root),
    code: await codeFor(release, versions.from, arch),
  };
  const triaged = triageAll(advisories, kernel, selection);
  return { kernel, arch, advisories, triaged, selection, skipped: given.skipped };
}

/** CVEs with the name of the patch: of the module files, or else of the patches that are enabled on the machine. */
function liveFixes(files: readonly string[] | undefined, release: string, root: string): Map<string, string> {
  const patches =
    files === undefined
      ? enabledPatches(release, root)
      : files.flatMap((file) => readManifest(readBytes(file), file) ?? []).filter((one) => one.release === release);
  return new Map(patches.flatMap(({ name, cves }) => cves.map((cve) => [cve, name] as const)));
}

function enabledPatches(release: string, root: string): { name: string; cves: readonly string[] }[] {
  const status = statusOf(thisMachine(root));
  return status.release === release ? status.patches.filter(({ state }) => state === 'enabled') : [];
}

async function codeFor(release: string, version: string, arch: string): Promise<KernelCode> {
  const found = await inspectCached(release);
  if (found.state !== 'complete' || found.kernel.sourceVersion !== version) return machineCode(arch);
  return await preparedCode(new KernelFacts(found.kernel));
}

/** Loaded and installed modules; undefined where the machine does not run this kernel. */
function modulesOf(release: string, root: string): TriageKernel['modules'] {
  try {
    if (runningRelease(root) !== release) return undefined;
    const loaded = readFileSync(join(root, 'proc/modules'), 'utf8').split('\n');
    const installed = readFileSync(join(root, 'lib/modules', release, 'modules.dep'), 'utf8').split('\n');
    const name = (path: string): string =>
      path
        .replace(/^.*\//, '')
        .replace(/\.ko(\.\w+)?$/, '')
        .replaceAll('-', '_');
    return {
      loaded: new Set(loaded.map((line) => line.split(' ')[0]!).filter((word) => word !== '')),
      installed: new Set(installed.map((line) => name(line.split(':')[0]!)).filter((word) => word !== '')),
    };
  } catch {
    return undefined;
  }
}

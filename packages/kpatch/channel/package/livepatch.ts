/** The package of one live patch for one kernel: module, proof, record. It has no scripts: the trigger of
 * kpatch's own package compares what is unpacked with the store. */
import { join } from 'node:path';
import type { PatchModule } from '../patch-module.ts';
import { buildDeb } from './deb.ts';
import { fileNames, packageNames } from './name.ts';
import { type LivePatchRecord, versionText } from './record.ts';
import { buildRpm } from './rpm.ts';
import type { PackageSpec } from './spec.ts';

/** Where a package lays its files for a kernel. */
export function packageFolder(kernel: string): string {
  return `/usr/lib/kpatch/${kernel}`;
}

/** What administrators decide about the channel. */
export const settingsFile = '/etc/kpatch/channel.conf';

/** The package of a record; `module` is absent for the subscription of a kernel that has no patch yet. */
export function livePatchSpec(record: LivePatchRecord, module: PatchModule | undefined): PackageSpec {
  const { kernel } = record;
  const names = packageNames(kernel);
  const folder = packageFolder(kernel);
  const files = new Map<string, Uint8Array | string>([
    [`${folder}/advisory.json`, `${JSON.stringify(record, null, 1)}\n`],
  ]);
  if (module !== undefined) {
    files.set(`${folder}/${module.manifest.name}.ko`, module.bytes);
    const { proof, provenance, manifest } = module;
    if (proof !== undefined) files.set(`${folder}/${manifest.name}.proof.json`, proof);
    if (provenance !== undefined) files.set(`${folder}/${manifest.name}.provenance.json`, provenance);
  }
  const fixes = record.cves.map((cve) => cve.id).join(', ');
  return {
    debName: names.deb,
    rpmName: names.rpm,
    version: String(record.version),
    debRelease: String(record.release),
    rpmRelease: `${record.release}${names.dist}`,
    arch: record.arch,
    summary: `Live patch for the Linux kernel ${kernel}`,
    description: wrap(
      module === undefined
        ? `Subscribes the kernel ${kernel} to live patches. There is none yet; the first one will be an upgrade of this package.`
        : `Cumulative live patch ${versionText(record)} for the kernel ${kernel}. It is loaded at once if that kernel is running, and at boot. ${fixes === '' ? 'It fixes no CVE.' : `It fixes ${fixes}.`}`,
    ),
    depends: ['kpatch'],
    files,
    configFiles: [],
  };
}

/** Builds the packages of a record into a folder; gives their paths. Formats: `deb`, `rpm` or both. */
export async function buildLivePatch(
  record: LivePatchRecord,
  module: PatchModule | undefined,
  folder: string,
  formats: readonly ('deb' | 'rpm')[] = ['deb', 'rpm'],
): Promise<{ deb?: string; rpm?: string }> {
  const spec = livePatchSpec(record, module);
  const names = fileNames(packageNames(record.kernel), record.version, record.release, record.arch);
  const made: { deb?: string; rpm?: string } = {};
  if (formats.includes('deb')) {
    made.deb = join(folder, names.deb);
    await buildDeb(spec, made.deb);
  }
  if (formats.includes('rpm')) {
    made.rpm = join(folder, names.rpm);
    await buildRpm(spec, made.rpm);
  }
  return made;
}

/** Lines of at most 76 characters. */
function wrap(prose: string): string[] {
  const lines: string[] = [];
  for (const word of prose.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < 76) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

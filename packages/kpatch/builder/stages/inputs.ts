/** What a build depends on, with digests: patches, packages, files of the kernel, the toolchain. For the provenance. */

import { existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { sha256, sha256File } from '../../base/digest.ts';
import { readBytes } from '../../base/files.ts';
import { run } from '../../base/run.ts';
import { programFolders } from '../../base/workspace.ts';
import { packageUrl } from '../../distro/registry.ts';
import type { PackageVersion, TargetKernel } from '../../kernel/target.ts';
import { packagesOfBuildRoot } from '../../prepare/build-root.ts';
import { packagesWithDigests } from '../../prepare/offer/package-digests.ts';
import type { Resource } from '../../provenance/statement.ts';
import type { SourcePatch } from '../../source/patch.ts';

/** Bytes of all patches up to which their content is in the provenance. */
const CONTENT_LIMIT = 8 << 20;

/** Everything but the patches. It reads some 50 MB, so callers start it early. */
export async function kernelInputs(kernel: TargetKernel): Promise<Resource[]> {
  const { paths, distribution, release } = kernel;
  const files = {
    'kernel image': paths.image,
    'kernel configuration': paths.config,
    'exported symbols': paths.symvers,
  };
  const measured = Object.entries(files).map(async ([role, path]) => ({
    name: `${role} ${release}`,
    digest: { sha256: await sha256File(path) },
    annotations: { role },
  }));
  const packages = await packagesWithDigests(kernel);
  return [
    ...packages.map((one) => packageResource('kernel package', distribution, one)),
    ...(await Promise.all(measured)),
    ...(await toolchain(kernel)),
  ];
}

/** The patches in their order, with their content if they are not too large. */
export function patchInputs(patches: readonly SourcePatch[]): Resource[] {
  const contents = patches.map(({ file }) => readBytes(file));
  const total = contents.reduce((sum, { length }) => sum + length, 0);
  return patches.map(({ name, sha256: digest }, index) => {
    const bytes = contents[index]!;
    // A file that changed since it was read is not the one that was built.
    const same = sha256(bytes) === digest && total <= CONTENT_LIMIT;
    return {
      name,
      digest: { sha256: digest },
      ...(same ? { content: bytes.toString('base64') } : {}),
      annotations: { role: 'patch' },
    };
  });
}

function packageResource(role: string, distribution: string, one: PackageVersion): Resource {
  return {
    name: one.name,
    uri: packageUrl(distribution, one),
    ...(one.sha256 === undefined ? {} : { digest: { sha256: one.sha256 } }),
    annotations: { role },
  };
}

async function toolchain({ compiler, distribution }: TargetKernel): Promise<Resource[]> {
  if (compiler.root !== undefined) {
    const packages = packagesOfBuildRoot(compiler.root);
    return packages.map((one) => packageResource('toolchain package', distribution, one));
  }
  const paths = await Promise.all(['cc1', 'as', 'ld', 'objcopy'].map((name) => programOf(compiler.command, name)));
  const programs = [pathOf(compiler.command), ...paths, pathOf('make')];
  const found = [...new Set(programs.flatMap((path) => (path === undefined ? [] : [realpathSync(path)])))];
  return await Promise.all(
    found.map(async (path) => ({
      name: path,
      digest: { sha256: await sha256File(path) },
      annotations: { role: 'toolchain program' },
    })),
  );
}

/** The program that a compiler calls; it prints a bare name for one that it leaves to PATH. */
async function programOf(command: string, name: string): Promise<string | undefined> {
  const said = await run(command, [`-print-prog-name=${name}`], { env: { LC_ALL: 'C' } }).catch(() => undefined);
  const path = said?.status === 0 ? said.stdout.toString().trim() : '';
  if (path === '') return undefined;
  return path.includes('/') ? (existsSync(path) ? path : undefined) : pathOf(path);
}

function pathOf(command: string): string | undefined {
  if (command.includes('/')) return existsSync(command) ? command : undefined;
  const folders = programFolders().filter((folder) => folder.startsWith('/'));
  return folders.map((folder) => join(folder, command)).find(existsSync);
}

/** Digests of the packages that a kernel was prepared from, also where they were not recorded when it was prepared. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { sha256File } from '../../base/digest.ts';
import { writeAtomically } from '../../base/files.ts';
import type { DocumentOf } from '../../documents/form.ts';
import { keptDocument } from '../../documents/kept.ts';
import type { PackageVersion, TargetKernel } from '../../kernel/target.ts';
import { packagesFolder } from '../cache.ts';
import { derivedFolder } from '../facts.ts';

type Digests = DocumentOf<'kpatch.package-digests'>;

/**
 * The packages of a kernel with the digests of their files: as recorded, or of the files in the cache. Packages of this
 * machine that were installed before have none. It never fails: without a digest the package is still named.
 */
export async function packagesWithDigests(kernel: TargetKernel): Promise<readonly PackageVersion[]> {
  const open = kernel.packages.filter(({ sha256 }) => sha256 === undefined);
  if (open.length === 0) return kernel.packages;
  const file = join(derivedFolder(kernel), 'packages.json');
  const known = keptDocument('kpatch.package-digests', file) ?? (await measured(open, kernel.release));
  keep(file, known);
  return kernel.packages.map((one) => {
    const digest = one.sha256 ?? known[idOf(one)];
    return digest === undefined ? one : { ...one, sha256: digest };
  });
}

const idOf = ({ name, version }: PackageVersion): string => `${name} ${version}`;

async function measured(packages: readonly PackageVersion[], release: string): Promise<Digests> {
  const found: Record<string, string> = {};
  for (const one of packages) {
    const path = fileOf(one, release);
    if (path !== undefined) found[idOf(one)] = await sha256File(path);
  }
  return found;
}

/** The package file: `NAME_VERSION_ARCH.deb`, or `NAME-VERSION.….rpm` in the folder of the release. */
function fileOf({ name, version }: PackageVersion, release: string): string | undefined {
  const folders = [packagesFolder(), join(packagesFolder(), release)];
  const begins = [`${name}_${version.replace(':', '%3a')}_`, `${name}-${version}.`];
  for (const folder of folders.filter(existsSync)) {
    const file = readdirSync(folder).find((one) => begins.some((text) => one.startsWith(text)));
    if (file !== undefined) return join(folder, file);
  }
  return undefined;
}

function keep(file: string, digests: Digests): void {
  if (existsSync(file)) return;
  try {
    writeAtomically(file, JSON.stringify(digests));
  } catch {
    // Another user's cache may be read-only: then they are measured again.
  }
}

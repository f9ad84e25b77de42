/**
 * Kernels of Debian and Ubuntu, from an archive of packages. A release R is `linux-image-R` (signed; the unsigned twin holds the
 * same vmlinuz), since Debian 14 with the image in `linux-binary-R` and the modules in `linux-modules-R`. Its headers are
 * `linux-headers-R` and what that depends on. Its source is `linux-source-X.Y` of the version that the image was built from
 * (Built-Using or Source of the image package), which is rarely the newest.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { parseDependencies, type Stanza } from '../../formats/deb822.ts';
import { parseRelease } from '../../kernel/release.ts';
import type { PackageVersion } from '../../kernel/target.ts';
import { platformHere } from '../../platform/registry.ts';
import { settleLinks } from '../../sandbox/output.ts';
import type { KernelOffer, KernelProvider, ProviderContext, UnpackedParts } from '../provider.ts';
import { type AptArchive, machineArchive } from './archive.ts';
import { unpackDeb } from './unpack.ts';

/** A provider for one archive. `distribution` is the ID in os-release that its kernels get. */
export function debianKernels(
  name: string,
  distribution: () => string,
  archiveOf: (context: ProviderContext) => Promise<AptArchive>,
): KernelProvider {
  const opened = async (context: ProviderContext): Promise<AptArchive> => {
    const archive = await archiveOf(context);
    await archive.updateIfEmpty(context);
    return archive;
  };
  return {
    name,
    async newest(context) {
      const archive = await opened(context);
      for (const meta of [`linux-image-${platformHere().naming.deb}`, 'linux-image-generic']) {
        const image = await imageOf(archive, meta, 4);
        if (image !== undefined) return image.slice('linux-image-'.length);
      }
      return undefined;
    },
    async find(release, context) {
      const archive = await opened(context);
      return await findIn(archive, release, distribution(), context);
    },
    async known(context) {
      const names = await (await archiveOf(context)).names('linux-image-');
      return names
        .map((image) => image.slice('linux-image-'.length))
        .filter((release) => /^\d/.test(release) && !/-(dbg|unsigned)$/.test(release));
    },
  };
}

/** The packages that this machine's own apt offers. */
export const machineKernels = debianKernels('apt', distributionHere, () => Promise.resolve(machineArchive));

async function findIn(
  archive: AptArchive,
  release: string,
  distribution: string,
  context: ProviderContext,
): Promise<KernelOffer | undefined> {
  const images = [`linux-image-${release}`, `linux-image-unsigned-${release}`, `linux-image-${release}-unsigned`];
  // Since Debian 14 the package of the image is empty and depends on this one.
  const binaries = [`linux-binary-${release}`, `linux-binary-${release}-unsigned`];
  const shown = await archive.showAll([...binaries, ...images]);
  const image = [...binaries, ...images].flatMap(shown)[0];
  return image === undefined ? undefined : offerOf(archive, release, image, distribution, context);
}

/** ID of os-release(5): packages of this machine's sources are of this machine's distribution. */
export function distributionHere(): string {
  const file = ['/etc/os-release', '/usr/lib/os-release'].find(existsSync);
  const text = file === undefined ? '' : readFileSync(file, 'utf8');
  return /^ID="?([a-z0-9._-]+)"?$/m.exec(text)?.[1] ?? 'debian';
}

/** Follows a meta package to the image package it stands for, at most `steps` times. */
async function imageOf(archive: AptArchive, name: string, steps: number): Promise<string | undefined> {
  const newest = await archive.candidate(name);
  const next = parseDependencies(newest?.Depends).find((dependency) => /^linux-image-/.test(dependency.name));
  if (next === undefined || steps === 0) return undefined;
  return /^linux-image-\d/.test(next.name) ? next.name : imageOf(archive, next.name, steps - 1);
}

/** The source package that an image package was built from: `linux`, or Ubuntu's `linux-hwe-6.11`, `linux-aws`. */
function builtFrom(image: Stanza): { readonly name: string; readonly version?: string | undefined } | undefined {
  const kernel = /^linux(?:-(?!signed|base|firmware)[\w.+-]+)?$/;
  const built = parseDependencies(image['Built-Using']).find(({ name }) => kernel.test(name));
  const source = /^\S+/.exec(image.Source ?? '')?.[0] ?? '';
  return built ?? (kernel.test(source) ? { name: source } : undefined);
}

/** The version of the source package that an image package was built from. */
export function sourceVersionOf(image: Stanza): string {
  const built = builtFrom(image);
  if (built?.version !== undefined) return built.version;
  const source = /^linux\S* \(([^)]+)\)$/.exec(image.Source ?? '');
  return source !== null && !/signed/.test(image.Source!) ? source[1]! : image.Version!;
}

async function offerOf(
  archive: AptArchive,
  release: string,
  image: Stanza,
  distribution: string,
  context: ProviderContext,
): Promise<KernelOffer> {
  const sourceVersion = sourceVersionOf(image);
  const headersName = `linux-headers-${release}`;
  // Ubuntu, and Debian since 14, keep modules, configuration and System.map in packages of their own.
  const besides = [`linux-base-${release}`, `linux-modules-${release}`, `linux-modules-extra-${release}`];
  const sources = sourceNames(release, image);
  const shown = await archive.showAll([headersName, ...besides, ...sources]);
  const headers = inVersion(shown(headersName), headersName, image.Version!, { release, part: 'headers' });
  const parts = [image, headers];
  // `linux-hwe-6.11-headers-6.11.0-29` where the kernel has a source package of its own.
  const needed = parseDependencies(headers.Depends).filter(({ name }) =>
    /^linux-(?:[\w.+-]+-)?(?:headers|kbuild)-\d?/.test(name),
  );
  const programs = await archive.showAll(needed.map(({ name }) => name));
  for (const { name, version, relation } of needed) {
    // Programs of the build (linux-kbuild) need not be of the same version: the headers ask for at least theirs, and the
    // archive keeps only the newest of a series. Headers proper are asked for with `=`.
    const offered = programs(name);
    const same = offered.find(({ Version }) => Version === sourceVersion);
    const program = relation === '=' ? undefined : (same ?? offered[0]);
    parts.push(program ?? inVersion(offered, name, version ?? sourceVersion, { release, part: 'headers' }));
  }
  for (const name of besides) {
    const found = shown(name).find(({ Version }) => Version === sourceVersion || Version === image.Version);
    if (found !== undefined) parts.push(found);
  }
  const sourceName =
    sources.find((name) => shown(name).some(({ Version }) => Version === sourceVersion)) ?? sources[0]!;
  const source = inVersion(shown(sourceName), sourceName, sourceVersion, { release, part: 'source' });
  let files: readonly string[] = [];
  return {
    release,
    distribution,
    sourceVersion,
    packages: [...parts, source].map(packageOf),
    async fetch() {
      // The source first: it is what mirrors lose, and the largest.
      const [path, ...others] = await archive.fetchAll([source, ...parts], context);
      files = others;
      return { kind: 'deb', path: path! };
    },
    async unpack(root) {
      for (const file of files) await unpackDeb(file, root);
      settleLinks(root);
      return partsBelow(root, release);
    },
  };
}

/** The package of a stanza, with the digest that its file is checked against. */
export function packageOf({ Package, Version, SHA256 }: Stanza): PackageVersion {
  return { name: Package!, version: Version!, ...(SHA256 === undefined ? {} : { sha256: SHA256 }) };
}

/** `linux-source-6.1`; Ubuntu's is `linux-source-5.15.0`, that of another source package `linux-hwe-5.15-source-5.15.0`. */
export function sourcePackageNames(version: string, source = 'linux'): string[] {
  const names = [`linux-source-${version}`, `linux-source-${version}.0`];
  return source === 'linux' ? names : [`${source}-source-${version}.0`, ...names];
}

/** The names that the package with the source of a kernel may have, the usual one first. */
function sourceNames(release: string, image: Stanza): string[] {
  const version = parseRelease(release);
  const series = version === undefined ? release : `${version.major}.${version.minor}`;
  return sourcePackageNames(series, builtFrom(image)?.name ?? 'linux');
}

/** The stanza of exactly this version. Error: `kernel-part-missing`. */
function inVersion(
  offered: readonly Stanza[],
  name: string,
  version: string,
  kernel: { readonly release: string; readonly part: string },
): Stanza {
  const found = offered.find(({ Version }) => Version === version);
  if (found !== undefined) return found;
  throw failure('kernel-part-missing', { ...kernel, package: `${name}=${version}` });
}

/** Where the parts are below a folder into which the packages were unpacked. */
export function partsBelow(root: string, release: string): UnpackedParts {
  const modules = ['lib/modules', 'usr/lib/modules'].map((folder) => join(root, folder, release)).find(existsSync);
  const images = [
    join(root, 'boot', `vmlinuz-${release}`),
    ...(modules === undefined ? [] : [join(modules, 'vmlinuz')]),
  ];
  const image = images.find(existsSync) ?? images[0]!;
  const headers = join(root, 'usr/src', `linux-headers-${release}`);
  for (const [part, path] of [
    ['image', image],
    ['headers', headers],
  ] as const) {
    if (!existsSync(path)) throw failure('kernel-part-missing', { release, part, package: basename(path) });
  }
  relocateHeaders(root, headers);
  return { image, headers, modules };
}

/** The headers' Makefile names its common part by absolute path: point it below `root`. */
function relocateHeaders(root: string, headers: string): void {
  const makefile = join(headers, 'Makefile');
  if (!existsSync(makefile)) return;
  const text = readFileSync(makefile, 'utf8');
  const moved = text.replace(/(^|[\s=])\/usr\/src\//gm, `$1${root}/usr/src/`);
  if (moved !== text) writeFileSync(makefile, moved);
}

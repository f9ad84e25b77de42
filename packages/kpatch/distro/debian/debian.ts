/**
 * Debian and Ubuntu kernels through apt. A release R is `linux-image-R` (signed; the unsigned twin holds the same vmlinuz),
 * its headers are `linux-headers-R` and what that depends on, its source is `linux-source-X.Y` of the version that the
 * image was built from (Built-Using or Source of the image package), which is rarely the newest.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fail } from '../../base/errors/error.ts';
import { parseDependencies, type Stanza } from '../../formats/deb822.ts';
import { parseRelease } from '../../kernel/release.ts';
import { platformHere } from '../../platform/registry.ts';
import { settleLinks } from '../../sandbox/output.ts';
import type { KernelOffer, KernelProvider, ProviderContext, UnpackedParts } from '../provider.ts';
import { aptFetch, aptNames, aptShow, aptUpdateIfEmpty, unpackDeb } from './apt.ts';

export const debianProvider: KernelProvider = {
  name: 'apt',
  async newest(context) {
    await aptUpdateIfEmpty(context);
    for (const meta of [`linux-image-${platformHere().naming.debian}`, 'linux-image-generic']) {
      const image = await imageOf(meta, 4);
      if (image !== undefined) return image.slice('linux-image-'.length);
    }
    return undefined;
  },
  async find(release, context) {
    await aptUpdateIfEmpty(context);
    const images = [
      ...(await aptShow(`linux-image-${release}`)),
      ...(await aptShow(`linux-image-unsigned-${release}`)),
      ...(await aptShow(`linux-image-${release}-unsigned`)),
    ];
    return images.length === 0 ? undefined : offerOf(release, images, context);
  },
  async known() {
    const names = await aptNames('linux-image-');
    return names
      .map((name) => name.slice('linux-image-'.length))
      .filter((name) => /^\d/.test(name) && !/-(dbg|unsigned)$/.test(name));
  },
};

/** ID of os-release(5): packages of this machine's sources are of this machine's distribution. */
function distributionHere(): string {
  const file = ['/etc/os-release', '/usr/lib/os-release'].find(existsSync);
  const text = file === undefined ? '' : readFileSync(file, 'utf8');
  return /^ID="?([a-z0-9._-]+)"?$/m.exec(text)?.[1] ?? 'debian';
}

/** Follows a meta package to the image package it stands for, at most `steps` times. */
async function imageOf(name: string, steps: number): Promise<string | undefined> {
  const [newest] = await aptShow(name);
  const next = parseDependencies(newest?.Depends).find((dependency) => /^linux-image-/.test(dependency.name));
  if (next === undefined || steps === 0) return undefined;
  return /^linux-image-\d/.test(next.name) ? next.name : imageOf(next.name, steps - 1);
}

/** The version of the source package that an image package was built from. */
export function sourceVersionOf(image: Stanza): string {
  const builtUsing = parseDependencies(image['Built-Using']).find(({ name }) => /^linux(-hwe.*)?$/.test(name));
  if (builtUsing?.version !== undefined) return builtUsing.version;
  const source = /^linux\S* \(([^)]+)\)$/.exec(image.Source ?? '');
  return source !== null && !/signed/.test(image.Source!) ? source[1]! : image.Version!;
}

async function offerOf(release: string, images: readonly Stanza[], context: ProviderContext): Promise<KernelOffer> {
  const image = images[0]!;
  const sourceVersion = sourceVersionOf(image);
  const missing = (part: string, name: string): Error => fail('kernel-part-missing', { release, part, package: name });
  const pick = async (name: string, version: string, part: string): Promise<Stanza> => {
    const found = (await aptShow(name)).find((stanza) => stanza.Version === version);
    if (found === undefined) throw missing(part, `${name}=${version}`);
    return found;
  };
  const headers = await pick(`linux-headers-${release}`, image.Version!, 'headers');
  const parts = [image, headers];
  for (const { name, version, relation } of parseDependencies(headers.Depends)) {
    if (!/^linux-(headers-|kbuild-)/.test(name)) continue;
    // Programs of the build (linux-kbuild) need not be of the same version: the headers ask for at least theirs, and the
    // archive keeps only the newest of a series. Headers proper are asked for with `=`.
    const offered = relation === '=' ? [] : await aptShow(name);
    const same = offered.some((stanza) => stanza.Version === sourceVersion);
    parts.push(same || offered.length === 0 ? await pick(name, version ?? sourceVersion, 'headers') : offered[0]!);
  }
  // Ubuntu keeps the modules in packages of their own.
  for (const name of [`linux-modules-${release}`, `linux-modules-extra-${release}`]) {
    const found = (await aptShow(name)).find((stanza) => stanza.Version === sourceVersion);
    if (found !== undefined) parts.push(found);
  }
  const version = parseRelease(release);
  const sourceName = await sourcePackage(
    version === undefined ? release : `${version.major}.${version.minor}`,
    sourceVersion,
  );
  const source = await pick(sourceName, sourceVersion, 'source');
  const files = new Map<Stanza, string>();
  return {
    release,
    distribution: distributionHere(),
    sourceVersion,
    packages: [...parts, source].map((stanza) => ({ name: stanza.Package!, version: stanza.Version! })),
    async fetch() {
      for (const stanza of [...parts, source]) files.set(stanza, await aptFetch(stanza, context));
      return { kind: 'deb', path: files.get(source)! };
    },
    async unpack(root) {
      for (const stanza of parts) await unpackDeb(files.get(stanza)!, root);
      settleLinks(root);
      return partsBelow(root, release);
    },
  };
}

/** `linux-source-6.1`; Ubuntu's is `linux-source-5.15.0`. */
export function sourcePackageNames(version: string): string[] {
  return [`linux-source-${version}`, `linux-source-${version}.0`];
}

async function sourcePackage(version: string, wanted: string): Promise<string> {
  const names = sourcePackageNames(version);
  for (const name of names) {
    if ((await aptShow(name)).some((stanza) => stanza.Version === wanted)) return name;
  }
  return names[0]!;
}

/** Where the parts are below a folder into which the packages were unpacked. */
export function partsBelow(root: string, release: string): UnpackedParts {
  const image = join(root, 'boot', `vmlinuz-${release}`);
  const headers = join(root, 'usr/src', `linux-headers-${release}`);
  for (const [part, path] of [
    ['image', image],
    ['headers', headers],
  ] as const) {
    if (!existsSync(path)) throw fail('kernel-part-missing', { release, part, package: basename(path) });
  }
  const modules = ['lib/modules', 'usr/lib/modules'].map((folder) => join(root, folder, release)).find(existsSync);
  relocateHeaders(root, headers);
  return { image, headers, modules };
}

/** The headers' Makefile names its common part by absolute path: point it below `root`. */
function relocateHeaders(root: string, headers: string): void {
  const makefile = join(headers, 'Makefile');
  if (!existsSync(makefile)) return;
  const text = readFileSync(makefile, 'utf8');
  const moved = text.replace(/(^|\s)\/usr\/src\//gm, `$1${root}/usr/src/`);
  if (moved !== text) writeFileSync(makefile, moved);
}

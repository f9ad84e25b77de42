/**
 * Kernels that are installed on this machine: image, headers and modules are used where they lie. Only the source must be
 * there too (Debian: `linux-source-X.Y` of the very version) or to be fetched through apt.
 */
import { existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { run } from '../base/run.ts';
import { parseRelease } from '../kernel/release.ts';
import { machineArchive } from './debian/archive.ts';
import { sourcePackageNames, sourceVersionOf } from './debian/kernels.ts';
import type { KernelOffer, KernelProvider, ProviderContext, SourceParts, UnpackedParts } from './provider.ts';

/** A provider of the kernels installed below `root` (default: `/`). */
export function installedProvider(root = '/'): KernelProvider {
  return {
    name: 'installed',
    newest: () => Promise.resolve(undefined),
    known: () => Promise.resolve([]),
    find: (release, context) => find(root, release, context),
  };
}

async function find(root: string, release: string, context: ProviderContext): Promise<KernelOffer | undefined> {
  const at = (...parts: string[]): string => join(root, ...parts);
  const image = [at('boot', `vmlinuz-${release}`), at('lib/modules', release, 'vmlinuz')].find(existsSync);
  const build = at('lib/modules', release, 'build');
  if (image === undefined || !existsSync(join(build, '.config'))) return undefined;
  const owner = await ownerOf(root, image);
  if (owner === undefined) return undefined; // without its package, the source it was built from is unknown
  const sourceVersion = sourceVersionOf(owner);
  const source = await findSource(root, release, sourceVersion, context);
  if (source === undefined) return undefined;
  const parts: UnpackedParts = { image, headers: realpathSync(build), modules: at('lib/modules', release) };
  return {
    release,
    distribution: 'debian',
    sourceVersion,
    packages: [
      { name: owner.Package ?? '', version: owner.Version ?? '' },
      { name: source.name, version: sourceVersion },
    ],
    fetch: source.fetch,
    unpack: () => Promise.resolve(parts),
  };
}

/** The package that a file belongs to, with the fields that tell its source. */
async function ownerOf(root: string, file: string): Promise<Record<string, string> | undefined> {
  const query = (args: readonly string[]): Promise<string | undefined> =>
    run('dpkg-query', [...(root === '/' ? [] : [`--root=${root}`]), ...args])
      .then(({ status, stdout }) => (status === 0 ? stdout.toString() : undefined))
      .catch(() => undefined);
  const owner = await query(['-S', root === '/' ? file : file.slice(root.length)]);
  const name = /^([a-z0-9][a-z0-9+.-]*)(?::\w+)?: /m.exec(owner ?? '')?.[1];
  if (name === undefined) return undefined;
  const fields = ['Package', 'Version', 'Source', 'Built-Using'];
  const text = await query(['-W', '-f', fields.map((field) => `\${${field}}\n`).join(''), name]);
  if (text === undefined) return undefined;
  const values = text.split('\n');
  return Object.fromEntries(fields.map((field, i) => [field, values[i] ?? '']));
}

/** The source of exactly that version: installed, or through apt; undefined if neither has it. */
async function findSource(
  root: string,
  release: string,
  wanted: string,
  context: ProviderContext,
): Promise<{ name: string; fetch: () => Promise<SourceParts> } | undefined> {
  const { major, minor } = parseRelease(release)!;
  const names = sourcePackageNames(`${major}.${minor}`);
  let other: string | undefined;
  for (const name of names) {
    const path = join(root, 'usr/src', `${name}.tar.xz`);
    if (!existsSync(path)) continue;
    const found = (await ownerOf(root, path))?.Version;
    if (found === wanted) return { name, fetch: () => Promise.resolve({ kind: 'archive', path }) };
    other = found ?? 'from no package';
  }
  await machineArchive.updateIfEmpty(context);
  for (const name of names) {
    const stanza = (await machineArchive.show(name)).find(({ Version }) => Version === wanted);
    if (stanza !== undefined)
      return { name, fetch: async () => ({ kind: 'deb', path: await machineArchive.fetch(stanza, context) }) };
  }
  if (other !== undefined) throw failure('kernel-source-mismatch', { found: other, wanted });
  return undefined;
}

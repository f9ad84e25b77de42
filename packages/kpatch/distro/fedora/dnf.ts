/**
 * Fedora, RHEL and their kin through dnf. A release R is `kernel-core-R` (image; in RHEL 8 also modules), `kernel-modules-core-R`
 * (since RHEL 9.2) and `kernel-modules-R`, `kernel-devel-R` (headers); the source is the source package with the patches that its
 * spec names. Flavours have packages of their own: R+rt is `kernel-rt-core-R`, R+rt_64k is `kernel-rt-64k-core-R`; in RHEL 8, where the
 * real-time kernel has a source package of its own, its releases contain `.rt`.
 */
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { run } from '../../base/run.ts';
import { settleLinks } from '../../sandbox/output.ts';
import type { KernelOffer, KernelProvider, ProviderContext, UnpackedParts } from '../provider.ts';
import { unpackRpm, unpackSourceRpm } from './rpm.ts';

export interface DnfOptions {
  /** Arguments before every sub-command, as `--config FILE`. */
  readonly arguments?: readonly string[];
}

/** Packages of a kernel; those that not every version of the distribution has are optional. */
const packageNames = [
  { name: 'core', part: 'image', optional: false },
  { name: 'modules-core', part: 'modules', optional: true },
  { name: 'modules', part: 'modules', optional: true },
  { name: 'modules-extra', part: 'modules', optional: true },
  { name: 'devel', part: 'headers', optional: false },
] as const;

/** The start of the names of the packages of a release, and their version with its architecture. */
export function packagesOf(release: string): { readonly prefix: string; readonly version: string } {
  const [version = '', flavour] = release.split('+', 2);
  if (flavour !== undefined) return { prefix: `kernel-${flavour.replaceAll('_', '-')}`, version };
  return { prefix: /-\d[\d.]*\.rt\d/.test(version) ? 'kernel-rt' : 'kernel', version };
}

interface Found {
  readonly name: string;
  /** Version and release, as `6.8.5-301.fc40`. */
  readonly version: string;
  /** File name of the source package. */
  readonly source: string;
}

export function dnfProvider(options: DnfOptions = {}): KernelProvider {
  const dnf = (args: readonly string[]): Promise<{ status: number; text: string; stderr: string }> =>
    run('dnf', ['-q', ...(options.arguments ?? []), ...args], { env: { LC_ALL: 'C' }, timeoutMs: 1_800_000 })
      .then(({ status, stdout, stderr }) => ({ status, text: stdout.toString(), stderr }))
      .catch(() => ({ status: 127, text: '', stderr: 'dnf is not installed' }));
  const query = async (specification: string): Promise<Found[]> => {
    const format = '%{name}\\t%{version}-%{release}\\t%{sourcerpm}\\n';
    const { text } = await dnf(['repoquery', '--available', '--queryformat', format, specification]);
    const lines = text.split('\n').map((line) => line.split('\t'));
    return lines.flatMap(([name, version, source]) =>
      source === undefined ? [] : [{ name: name!, version: version!, source }],
    );
  };
  const releases = async (more: readonly string[]): Promise<string[]> => {
    const format = '%{version}-%{release}.%{arch}\\n';
    const { text } = await dnf(['repoquery', '--available', ...more, '--queryformat', format, 'kernel-core']);
    return text.split('\n').filter((line) => /^\d/.test(line));
  };
  return {
    name: 'dnf',
    newest: async () => (await releases(['--latest-limit', '1']))[0],
    known: () => releases([]),
    async find(release, context) {
      const { prefix, version } = packagesOf(release);
      const [core] = await query(`${prefix}-core-${version}`);
      if (core === undefined) return undefined;
      const packages: Found[] = [];
      for (const { name, part, optional } of packageNames) {
        const file = `${prefix}-${name}-${version}`;
        const [found] = name === 'core' ? [core] : await query(file);
        if (found !== undefined) packages.push(found);
        else if (!optional) throw failure('kernel-part-missing', { release, part, package: file });
      }
      return offerOf(release, packages, core, dnf, context);
    },
  };
}

type Dnf = (args: readonly string[]) => Promise<{ status: number; stderr: string }>;

function offerOf(
  release: string,
  packages: readonly Found[],
  core: Found,
  dnf: Dnf,
  context: ProviderContext,
): KernelOffer {
  const folder = join(context.packages, release);
  const sourceName = core.source.replace(/\.src\.rpm$/, '');
  const files = packages.map(({ name }) => `${name}-${packagesOf(release).version}`);
  return {
    release,
    distribution: 'fedora',
    sourceVersion: core.version,
    packages: [
      ...packages.map(({ name, version }) => ({ name, version })),
      { name: sourceName.slice(0, -core.version.length - 1), version: core.version },
    ],
    async fetch() {
      mkdirSync(folder, { recursive: true });
      await download(dnf, context, folder, files, []);
      await download(dnf, context, folder, [sourceName], ['--source']);
      return await unpackSourceRpm(join(folder, core.source), join(folder, 'source'), macrosOf(release));
    },
    async unpack(root) {
      for (const file of files) await unpackRpm(join(folder, `${file}.rpm`), root);
      settleLinks(root);
      return partsBelow(root, release);
    },
  };
}

/** The macros by which a spec knows the distribution release that it is for: this machine's are those of another one. */
export function macrosOf(release: string): Readonly<Record<string, string>> {
  const [, dist, name, version] = /(\.(el|fc)(\d+)(?:_\d+)?)(?=[.+])/.exec(release) ?? [];
  if (dist === undefined) return {};
  return { dist, [name === 'el' ? 'rhel' : 'fedora']: version! };
}

/** Downloads what is not there yet. Error: `kernel-download`. */
async function download(
  dnf: Dnf,
  { report }: ProviderContext,
  folder: string,
  names: readonly string[],
  more: readonly string[],
): Promise<void> {
  const suffix = more.includes('--source') ? '.src.rpm' : '.rpm';
  const missing = names.filter((name) => !existsSync(join(folder, `${name}${suffix}`)));
  if (missing.length === 0) return;
  await report.stage(`download ${missing.join(', ')}`, async () => {
    const { status, stderr } = await dnf(['download', ...more, '--destdir', folder, ...missing]);
    const absent = missing.find((name) => !existsSync(join(folder, `${name}${suffix}`)));
    if (status !== 0 || absent !== undefined) {
      throw failure('kernel-download', { package: absent ?? missing.join(', ') }, { detail: stderr });
    }
  });
}

function partsBelow(root: string, release: string): UnpackedParts {
  const folders = ['lib/modules', 'usr/lib/modules'].map((folder) => join(root, folder, release));
  const image = [...folders.map((folder) => join(folder, 'vmlinuz')), join(root, 'boot', `vmlinuz-${release}`)].find(
    existsSync,
  );
  const headers = join(root, 'usr/src/kernels', release);
  if (image === undefined) throw failure('kernel-part-missing', { release, part: 'image', package: 'vmlinuz' });
  if (!existsSync(headers))
    throw failure('kernel-part-missing', { release, part: 'headers', package: basename(headers) });
  const modules = folders.find((folder) => existsSync(folder) && readdirSync(folder).includes('kernel'));
  return { image, headers, modules };
}

/** Debian: releases, their suites and keys, kernels and build roots. */
import { join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { namesOf, platformHere } from '../../platform/registry.ts';
import type { ArchiveOptions, Distribution } from '../distribution.ts';
import type { ProviderContext } from '../provider.ts';
import type { AptArchive } from './archive.ts';
import { buildRootPlan } from './build-root.ts';
import { debianKernels } from './kernels.ts';
import { type Suites, suiteArchive } from './suites.ts';
import { unpackDebs } from './unpack.ts';

interface Release {
  readonly version: string;
  readonly codename: string;
  /** Further suites that hold kernels. */
  readonly backports?: boolean;
  /** In development: no security suite, and kernels may be in `sid` only. */
  readonly testing?: boolean;
}

const releases: readonly Release[] = [
  { version: '11', codename: 'bullseye' },
  { version: '12', codename: 'bookworm', backports: true },
  { version: '13', codename: 'trixie', backports: true },
  { version: '14', codename: 'forky', testing: true },
];

function suitesOf(
  { version, codename, backports, testing }: Release,
  architecture = platformHere().naming.deb,
): Suites {
  const common = {
    title: `debian ${version}`,
    architecture,
    components: ['main'],
    keyring: '/usr/share/keyrings/debian-archive-keyring.gpg',
    keyringPackage: 'debian-archive-keyring',
    path: 'debian',
    securityPath: 'debian-security',
  };
  if (testing === true) return { ...common, suites: [{ name: codename }, { name: 'sid' }] };
  const more = backports === true ? [{ name: `${codename}-backports` }] : [];
  const security = { name: `${codename}-security`, security: true };
  return { ...common, suites: [{ name: codename }, { name: `${codename}-updates` }, ...more, security] };
}

function releaseOf(version: string): Release {
  const found = releases.find((one) => one.version === version || one.codename === version);
  if (found !== undefined) return found;
  const known = releases.map((one) => one.version).join(', ');
  throw failure('usage', { problem: `Debian '${version}' is not known here; known are ${known}` });
}

/** Kernel series whose names carry no `+deb` yet. */
const series: Readonly<Record<string, string>> = { '5.10.0': '11', '6.1.0': '12' };

/** The archive of a version, with its package lists. Errors: as `provider` of the record, `kernel-download`. */
export async function debianArchive(
  version: string,
  options: ArchiveOptions,
  context: ProviderContext,
  architecture?: string,
): Promise<AptArchive> {
  const archive = await suiteArchive(suitesOf(releaseOf(version), architecture), join(context.cache, 'apt'), options);
  await archive.updateIfEmpty(context);
  return archive;
}

export const debian: Distribution = {
  id: 'debian',
  title: 'Debian',
  packageType: 'deb',
  versions: releases.map(({ version }) => version),
  versionsOf(kernel) {
    if (!namesOf('deb').some((name) => kernel.endsWith(`-${name}`))) return [];
    // 6.12.117+deb12-…, 6.1.0-0.deb11.48-…
    const stated = /[+.]deb(\d+)/.exec(kernel)?.[1];
    if (stated !== undefined) return [stated];
    const [, base] = /^(\d+\.\d+\.\d+)-\d+-/.exec(kernel) ?? [];
    const version = base === undefined ? undefined : series[base];
    return version === undefined ? [] : [version];
  },
  provider(version, options) {
    const release = releaseOf(version);
    return debianKernels(
      `debian ${release.version}`,
      () => 'debian',
      (context) => suiteArchive(suitesOf(release), join(context.cache, 'apt'), options),
    );
  },
  async buildRoot(version, compiler, options, context) {
    const archive = await debianArchive(version, options, context);
    return await buildRootPlan(archive, compiler, context, options.pins);
  },
  async foreignPackages({ deb: architecture }, names, folder, context) {
    const { version } = releases.findLast(({ testing }) => testing !== true)!;
    const archive = await debianArchive(version, {}, context, architecture);
    const stanzas = [];
    for (const name of names) {
      const stanza = await archive.candidate(name);
      if (stanza === undefined) return false;
      stanzas.push(stanza);
    }
    await unpackDebs(await archive.fetchAll(stanzas, context), folder);
    return true;
  },
};

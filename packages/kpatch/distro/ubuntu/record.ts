/** Ubuntu: releases, their suites and keys, kernels and build roots. Packages are Debian's kind. */
import { join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { platformHere } from '../../platform/registry.ts';
import { buildRootPlan } from '../debian/build-root.ts';
import { debianKernels } from '../debian/kernels.ts';
import { type Suites, suiteArchive } from '../debian/suites.ts';
import type { Distribution } from '../distribution.ts';

/** Long-term releases with the kernel series that they ship; a later series comes to an older release as its HWE kernel. */
const releases: readonly { readonly version: string; readonly codename: string; readonly series: readonly string[] }[] =
  [
    { version: '20.04', codename: 'focal', series: ['5.4.0', '5.15.0'] },
    { version: '22.04', codename: 'jammy', series: ['5.15.0', '6.8.0'] },
    { version: '24.04', codename: 'noble', series: ['6.8.0', '6.11.0', '6.14.0', '6.17.0'] },
    { version: '26.04', codename: 'resolute', series: ['7.0.0'] },
  ];

function suitesOf(version: string): Suites {
  const release = releases.find((one) => one.version === version || one.codename === version);
  if (release === undefined) {
    const known = releases.map((one) => one.version).join(', ');
    throw failure('usage', { problem: `unknown Ubuntu version '${version}'; known versions: ${known}` });
  }
  const { codename } = release;
  return {
    title: `ubuntu ${release.version}`,
    architecture: platformHere().naming.deb,
    components: ['main', 'universe'],
    suites: [{ name: codename }, { name: `${codename}-updates` }, { name: `${codename}-security` }],
    keyring: '/usr/share/keyrings/ubuntu-archive-keyring.gpg',
    keyringPackage: 'ubuntu-keyring',
    path: 'ubuntu',
    securityPath: 'ubuntu',
  };
}

export const ubuntu: Distribution = {
  id: 'ubuntu',
  title: 'Ubuntu',
  packageType: 'deb',
  versions: releases.map(({ version }) => version),
  versionsOf(kernel) {
    const [, base] = /^(\d+\.\d+\.\d+)-\d+-(?:generic|lowlatency|aws|azure|gcp|kvm|oracle)/.exec(kernel) ?? [];
    return base === undefined
      ? []
      : releases.filter(({ series }) => series.includes(base)).map(({ version }) => version);
  },
  provider(version, options) {
    const suites = suitesOf(version);
    return debianKernels(
      suites.title,
      () => 'ubuntu',
      (context) => suiteArchive(suites, join(context.cache, 'apt'), options),
    );
  },
  async buildRoot(version, compiler, options, context) {
    const archive = await suiteArchive(suitesOf(version), join(context.cache, 'apt'), options);
    await archive.updateIfEmpty(context);
    return await buildRootPlan(archive, compiler, context, options.pins);
  },
};

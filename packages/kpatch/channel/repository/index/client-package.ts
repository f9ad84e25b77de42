/**
 * The package `kpatch-channel`, which a channel publishes about itself: its keys and its kernels' support windows. Machines
 * get both with their other packages, signed and checked by apt or dnf, so that following needs no download code of its
 * own.
 */
import { join } from 'node:path';
import { sha256 } from '../../../base/digest.ts';
import { aptKeyring, clientFolder, clientPackage, rpmKeyFile } from '../../client-names.ts';
import { buildDeb } from '../../package/deb.ts';
import { buildRpm } from '../../package/rpm.ts';
import type { PackageSpec } from '../../package/spec.ts';
import { kernelsSchema, type Publication, publishedKernels } from '../publication.ts';

/** The file that `kpatch status` and `kpatch metrics` read on a machine: windows without the dates of a publication. */
export function machineDocument(publication: Publication): string {
  const { config } = publication;
  const channel = { name: config.name, description: config.description, url: config.url };
  return `${JSON.stringify({ schema: kernelsSchema, channel, kernels: publishedKernels(publication) }, null, 1)}\n`;
}

/**
 * The package's spec; its version is the day and time of the publication that first has this content, to the millisecond: a
 * publication that was killed leaves its package in the pool and in apt-ftparchive's cache, which knows a file by its name
 * and second, so the publication after it must never give that name to another content.
 */
function clientSpec(publication: Publication, keys: { armored: string; binary: Uint8Array }): PackageSpec {
  const { config, date } = publication;
  const stamp = date
    .toISOString()
    .replace(/[-:.Z]/g, '')
    .replace('T', '.');
  return {
    debName: clientPackage,
    rpmName: clientPackage,
    version: stamp,
    debRelease: '1',
    rpmRelease: '1',
    arch: 'noarch',
    summary: `Keys and support windows of the live patch channel ${config.name}`,
    description: [
      'Delivers new keys of the channel to the machines that follow it, and',
      'the end of support for each kernel.',
    ],
    depends: [],
    files: new Map<string, Uint8Array | string>([
      [`${clientFolder}/kernels.json`, machineDocument(publication)],
      [`${clientFolder}/keyring.gpg`, keys.binary],
      [`${clientFolder}/keyring.asc`, keys.armored],
    ]),
    configFiles: [],
  };
}

/**
 * Digest of what the package says; where it is the one of the last publication, that package is published again as it is.
 */
export function clientDigest(publication: Publication, keys: { armored: string }): string {
  // The signer counts too: once a key is retired, the package that it signed is made again.
  return sha256([machineDocument(publication), keys.armored, publication.config.keys[0]].join('\0'));
}

/** Builds both packages into a folder; gives their paths. */
export async function buildClient(
  publication: Publication,
  keys: { armored: string; binary: Uint8Array },
  folder: string,
): Promise<string[]> {
  const spec = clientSpec(publication, keys);
  const deb = join(folder, `${clientPackage}_${spec.version}-1_all.deb`);
  const rpm = join(folder, `${clientPackage}-${spec.version}-1.noarch.rpm`);
  await buildDeb(spec, deb);
  await buildRpm(spec, rpm);
  return [deb, rpm];
}

/** The deb822 source of apt (sources.list(5)). */
export function aptSource(url: string, suite: string, component: string): string {
  return [
    '# Live patches for the Linux kernel; see kpatch-channel(1).',
    'Types: deb',
    `URIs: ${url}/apt`,
    `Suites: ${suite}`,
    `Components: ${component}`,
    `Signed-By: ${aptKeyring}`,
    // Whatever the machine's general setting: a mirror that stands still must be noticed.
    'Check-Date: yes',
    'Check-Valid-Until: yes',
    '',
  ].join('\n');
}

/** The repository file of dnf: packages and metadata must be signed; metadata expires after an hour. */
export function dnfRepository(url: string, description: string): string {
  return [
    '[kpatch-channel]',
    `name=${description}`,
    `baseurl=${url}/rpm`,
    'enabled=1',
    'gpgcheck=1',
    'repo_gpgcheck=1',
    'metadata_expire=1h',
    // A channel that is down must not keep the machine from its other updates; kpatch itself asks for an answer.
    'skip_if_unavailable=1',
    // The channel may bring nothing but live patches and its own package.
    'includepkgs=kpatch-patch-*,kpatch-channel',
    `gpgkey=file://${rpmKeyFile}`,
    '',
  ].join('\n');
}

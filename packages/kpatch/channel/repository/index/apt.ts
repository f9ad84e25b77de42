/** The apt repository of a publication, made by apt-ftparchive and signed by gpg: `apt/dists/live/…`, `apt/pool/…`. */
import { linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../../../base/digest.ts';
import { runOk } from '../../../base/run.ts';
import { platformHere } from '../../../platform/registry.ts';
import { debArch } from '../../package/name.ts';
import type { ChannelConfig } from '../config.ts';
import { sign } from '../gpg.ts';
import type { Publication } from '../publication.ts';

export const suite = 'live';
export const component = 'main';
/** One digest is enough, and by-hash files need no other name. */
const digests = ['MD5', 'SHA1', 'SHA512'].flatMap((name) => [
  '-o',
  `APT::FTPArchive::${name}=false`,
  '-o',
  `APT::FTPArchive::Release::${name}=false`,
]);
/** What apt reads in place of `Packages`, smallest first. */
const compressions = [
  { suffix: '.xz', command: ['xz', '-6', '-c'] },
  { suffix: '.gz', command: ['gzip', '-9n', '-c'] },
] as const;

/**
 * Makes the indexes below `tree`, whose `apt/pool` holds the packages. Index files also lie under their digest (by-hash), so that
 * a reader who began with the publication before gets the files that belong to it.
 * Gives the by-hash files, relative to the tree. Errors: `tool-missing`, `tool-failed`, `channel-key`.
 */
export async function writeApt(
  tree: string,
  config: ChannelConfig,
  publication: Publication,
  cache: string,
): Promise<string[]> {
  const apt = join(tree, 'apt');
  const dist = join('dists', suite);
  mkdirSync(join(apt, dist), { recursive: true });
  mkdirSync(cache, { recursive: true });
  const all = (
    await runOk('apt-ftparchive', [...digests, '--db', join(cache, 'apt.db'), 'packages', 'pool'], { cwd: apt })
  ).stdout.toString();
  const kept: string[] = [];
  const named = [...new Set(publication.kernels.map((kernel) => debArch(kernel.arch)))].sort();
  // apt refuses a repository without any architecture.
  const arches = named.length === 0 ? [platformHere().naming.deb] : named;
  for (const arch of arches) {
    const folder = join(dist, component, `binary-${arch}`);
    mkdirSync(join(apt, folder, 'by-hash/SHA256'), { recursive: true });
    const packages = stanzasOf(all, arch);
    const files = new Map<string, Uint8Array>([['Packages', Buffer.from(packages)]]);
    for (const { suffix, command } of compressions) {
      const [program, ...args] = command;
      files.set(`Packages${suffix}`, (await runOk(program, args, { input: packages })).stdout);
    }
    for (const [name, content] of files) {
      const file = join(apt, folder, name);
      writeFileSync(file, content);
      const hashed = join('apt', folder, 'by-hash/SHA256', sha256(content));
      linkSync(file, join(tree, hashed));
      kept.push(hashed);
    }
  }
  await release(join(apt, dist), config, publication, arches);
  return kept;
}

/** The stanzas for one architecture; those for all belong to each. */
function stanzasOf(packages: string, arch: string): string {
  const stanzas = packages.split('\n\n').filter((stanza) => stanza.trim() !== '');
  const wanted = stanzas.filter((stanza) => new RegExp(`^Architecture: (?:${arch}|all)$`, 'm').test(stanza));
  return wanted.map((stanza) => `${stanza.trim()}\n\n`).join('');
}

async function release(
  folder: string,
  config: ChannelConfig,
  publication: Publication,
  arches: readonly string[],
): Promise<void> {
  const fields: Readonly<Record<string, string>> = {
    Origin: config.name,
    Label: config.description === '' ? config.name : config.description,
    Suite: suite,
    Codename: suite,
    Architectures: arches.join(' '),
    Components: component,
    Description: `Live patches for the Linux kernel, channel ${config.name}`,
  };
  const options = Object.entries(fields).flatMap(([name, value]) => [
    '-o',
    `APT::FTPArchive::Release::${name}=${value}`,
  ]);
  const made = await runOk('apt-ftparchive', [...digests, ...options, 'release', '.'], { cwd: folder });
  // Dates are set here rather than by the tool, so that one publication has one date everywhere; by-hash files are not listed.
  const lines = made.stdout
    .toString()
    .split('\n')
    .filter((line) => !/^(?:Date|Valid-Until|Acquire-By-Hash):| \S*by-hash\//.test(line));
  const dates = [
    `Date: ${publication.date.toUTCString().replace('GMT', 'UTC')}`,
    `Valid-Until: ${publication.validUntil.toUTCString().replace('GMT', 'UTC')}`,
  ];
  const text = [...dates, 'Acquire-By-Hash: yes', ...lines].join('\n').trimEnd().concat('\n');
  writeFileSync(join(folder, 'Release'), text);
  writeFileSync(join(folder, 'InRelease'), await sign(text, config.keys, 'clear'));
  writeFileSync(
    join(folder, 'Release.gpg'),
    await sign(readFileSync(join(folder, 'Release')), config.keys, 'detached'),
  );
}

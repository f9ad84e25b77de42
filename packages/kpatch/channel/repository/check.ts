/** Reads a whole publication as a machine would and says what is wrong with it: signatures, dates, digests, rules. */
import { createReadStream, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { sha256File } from '../../base/digest.ts';
import { temporaryFolder } from '../../base/files.ts';
import { run } from '../../base/run.ts';
import { missingTrust, readTrust } from '../trust.ts';
import { type ChannelConfig, layout } from './config.ts';
import { KeyRing } from './gpg.ts';
import { suite } from './index/apt.ts';
import { readKernels } from './kernel.ts';
import { packageFiles, servedNumber } from './publish.ts';
import { brokenRules } from './rules.ts';
import { tufProblems } from './tuf/check.ts';

export interface Checked {
  readonly problems: readonly string[];
  readonly files: number;
  readonly packages: number;
  readonly date: string;
  readonly validUntil: string;
}

/** What one check gathers; everything is read in pieces, so its memory does not grow with the channel. */
class Check {
  readonly problems: string[] = [];
  readonly tree: string;
  readonly ring: KeyRing;
  readonly now: Date;
  files = 0;
  packages = 0;
  date = '';
  validUntil = '';

  constructor(tree: string, ring: KeyRing, now: Date) {
    this.tree = tree;
    this.ring = ring;
    this.now = now;
  }

  async signature(...files: string[]): Promise<boolean> {
    const missing = files.find((file) => !existsSync(join(this.tree, file)));
    if (missing !== undefined) {
      this.problems.push(`${missing} is missing`);
      return false;
    }
    const { ok, message } = await this.ring.verify(...files.map((file) => join(this.tree, file)));
    if (!ok) this.problems.push(`${files[0]}: invalid signature: ${message}`);
    return ok;
  }

  async digest(file: string, sha256: string, size: number | undefined): Promise<void> {
    const path = join(this.tree, file);
    this.files++;
    if (file.split('/').includes('..')) this.problems.push(`${file} lies outside the repository`);
    else if (!existsSync(path)) this.problems.push(`${file} is missing`);
    else if (size !== undefined && statSync(path).size !== size) {
      this.problems.push(`${file} has ${statSync(path).size} bytes, but the index says ${size}`);
    } else if ((await sha256File(path)) !== sha256)
      this.problems.push(`the SHA-256 digest of ${file} differs from the index`);
  }
}

/**
 * Checks a published tree, the channel's own or a mirror's, against the keys of `ring` and a trusted TUF root (default: the
 * first of the tree).
 * Problems are words, not errors: all of them are found in one run.
 */
export async function checkTree(tree: string, ring: Uint8Array, now: Date, root?: Uint8Array): Promise<Checked> {
  using keys = new KeyRing(ring);
  const check = new Check(tree, keys, now);
  await checkApt(check);
  await checkDnf(check, ring);
  await check.signature('kernels.json.asc', 'kernels.json');
  await checkCsaf(check);
  const tuf = await tufProblems(tree, root);
  check.problems.push(...tuf.problems);
  check.files += tuf.files;
  for (const name of ['index.html', 'key.asc', 'kpatch-channel.sources', 'kpatch-channel.repo']) {
    if (!existsSync(join(tree, name))) check.problems.push(`${name} is missing`);
  }
  const { problems, files, packages, date, validUntil } = check;
  return { problems, files, packages, date, validUntil };
}

async function checkApt(check: Check): Promise<void> {
  const dist = join('apt/dists', suite);
  await check.signature(join(dist, 'InRelease'));
  await check.signature(join(dist, 'Release.gpg'), join(dist, 'Release'));
  const release = join(check.tree, dist, 'Release');
  if (!existsSync(release)) return;
  const text = readFileSync(release, 'utf8');
  const clear = existsSync(join(check.tree, dist, 'InRelease'))
    ? readFileSync(join(check.tree, dist, 'InRelease'), 'utf8')
    : '';
  if (!clear.includes(text.trim()))
    check.problems.push(`${dist}: Release and InRelease belong to different publications`);
  const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1] ?? '';
  check.date = field('Date');
  check.validUntil = field('Valid-Until');
  if (!(Date.parse(check.validUntil) > check.now.getTime())) {
    check.problems.push(`the publication expired on ${check.validUntil}: publish again`);
  }
  const sums = text.slice(text.indexOf('\nSHA256:')).split('\n').slice(2);
  for (const line of sums) {
    const [, sha256, size, name] = /^ ([0-9a-f]{64})\s+(\d+)\s+(\S+)$/.exec(line) ?? [];
    if (name === undefined) break;
    await check.digest(join(dist, name), sha256!, Number(size));
    const hashed = join(dist, name, '../by-hash/SHA256', sha256!);
    if (name.includes('/Packages') && !existsSync(join(check.tree, hashed)))
      check.problems.push(`${hashed} is missing`);
    if (name.endsWith('/Packages')) await checkPackages(check, join(check.tree, dist, name));
  }
}

/** Every package of an apt index: file, size, digest. */
async function checkPackages(check: Check, index: string): Promise<void> {
  if (!existsSync(index)) return;
  let stanza: Record<string, string> = {};
  const done = async (): Promise<void> => {
    if (stanza.Filename !== undefined) {
      check.packages++;
      await check.digest(join('apt', stanza.Filename), stanza.SHA256 ?? '', Number(stanza.Size));
    }
    stanza = {};
  };
  for await (const line of createInterface({ input: createReadStream(index), crlfDelay: Number.POSITIVE_INFINITY })) {
    const [, name, value] = /^(Filename|SHA256|Size): (.*)$/.exec(line) ?? [];
    if (name !== undefined) stanza[name] = value!;
    if (line === '') await done();
  }
  await done();
}

async function checkDnf(check: Check, ring: Uint8Array): Promise<void> {
  const index = 'rpm/repodata/repomd.xml';
  if (!(await check.signature(`${index}.asc`, index))) return;
  const text = readFileSync(join(check.tree, index), 'utf8');
  for (const data of text.split('<data ').slice(1)) {
    const type = /^type="(\w+)"/.exec(data)?.[1];
    const sha256 = /<checksum type="sha256">([0-9a-f]{64})</.exec(data)?.[1] ?? '';
    const href = /<location href="([^"]+)"/.exec(data)?.[1] ?? '';
    const size = Number(/<size>(\d+)</.exec(data)?.[1]);
    await check.digest(join('rpm', href), sha256, size);
    if (type === 'primary') await checkPrimary(check, join(check.tree, 'rpm', href));
  }
  await checkRpmSignatures(check, ring);
}

/** Every package of a dnf index: file, size, digest. The XML is createrepo_c's own, one element a line. */
async function checkPrimary(check: Check, index: string): Promise<void> {
  if (!existsSync(index)) return;
  let sha256 = '';
  let size: number | undefined;
  try {
    for await (const line of createInterface({ input: createReadStream(index).pipe(createGunzip()) })) {
      sha256 = /<checksum type="sha256" pkgid="YES">([0-9a-f]{64})</.exec(line)?.[1] ?? sha256;
      const bytes = /<size package="(\d+)"/.exec(line)?.[1];
      if (bytes !== undefined) size = Number(bytes);
      const href = /<location href="([^"]+)"/.exec(line)?.[1];
      if (href === undefined) continue;
      check.packages++;
      await check.digest(join('rpm', href), sha256, size);
    }
  } catch (error) {
    check.problems.push(`cannot decompress ${index}: ${(error as Error).message}`);
  }
}

/** The signatures inside the packages, against a database of keys that holds only the channel's. */
async function checkRpmSignatures(check: Check, ring: Uint8Array): Promise<void> {
  const folder = join(check.tree, 'rpm');
  const names = readdirSync(folder).filter((name) => name.endsWith('.rpm'));
  using work = temporaryFolder('kpatch-rpmdb-');
  const database = work.path;
  const options = ['--define', `_dbpath ${database}`, '--define', '_keyring rpmdb'];
  for (const file of await splitKeys(ring, database)) await run('rpmkeys', [...options, '--import', file]);
  for (let at = 0; at < names.length; at += 200) {
    const result = await run(
      'rpmkeys',
      [...options, '--define', '_pkgverify_level all', '--checksig', ...names.slice(at, at + 200)],
      { cwd: folder, env: { LC_ALL: 'C' } },
    );
    for (const line of result.stdout.toString().split('\n')) {
      if (line !== '' && !/: digests signatures OK$/.test(line)) check.problems.push(`rpm/${line}`);
    }
    if (result.status !== 0 && result.stdout.length === 0) check.problems.push(`rpm: ${result.stderr.trim()}`);
  }
}

/** rpm takes one key at a time: each of the ring as an armored file in `folder`. */
async function splitKeys(ring: Uint8Array, folder: string): Promise<string[]> {
  using keys = new KeyRing(ring);
  using home = temporaryFolder('kpatch-gpg-');
  const base = ['--homedir', home.path, '--batch', '--no-default-keyring', '--keyring', keys.path];
  const listed = await run('gpg', [...base, '--with-colons', '--list-keys']);
  const lines = listed.stdout
    .toString()
    .split('\n')
    .map((line) => line.split(':'));
  const prints = lines
    .flatMap((line, at) => (line[0] === 'pub' ? [lines[at + 1]?.[9] ?? ''] : []))
    .filter((key) => key !== '');
  const files: string[] = [];
  for (const key of prints) {
    const file = join(folder, `${key}.asc`);
    writeFileSync(file, (await run('gpg', [...base, '--armor', '--export', key])).stdout);
    files.push(file);
  }
  return files;
}

/** Each advisory's digest and signature, and that the lists name just what is there. */
async function checkCsaf(check: Check): Promise<void> {
  const white = join(check.tree, 'csaf/white');
  if (!existsSync(join(white, 'index.txt'))) {
    check.problems.push('csaf/white/index.txt is missing');
    return;
  }
  const listed = readFileSync(join(white, 'index.txt'), 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  for (const name of listed) {
    const file = join('csaf/white', name);
    if (name.split('/').includes('..') || !existsSync(join(check.tree, `${file}.sha256`))) {
      check.problems.push(`${file}.sha256 is missing`);
      continue;
    }
    const sum = readFileSync(join(check.tree, `${file}.sha256`), 'utf8').slice(0, 64);
    await check.digest(file, sum, undefined);
    await check.signature(`${file}.asc`, file);
  }
}

/** Checks a channel's folder: the tree that is served, the pool it is made of, and the rules between its patches. */
export async function checkChannel(
  folder: string,
  config: ChannelConfig,
  ring: Uint8Array,
  now: Date,
): Promise<Checked> {
  const paths = layout(folder);
  const kernels = readKernels(folder);
  const trust = readTrust(folder, config);
  const unchecked = missingTrust(config, trust);
  const rules = [
    ...(unchecked === undefined ? [] : [`channel.json: ${unchecked}`]),
    ...kernels.flatMap((kernel) => brokenRules(kernel, config, trust).map((error) => error.message)),
  ];
  if (servedNumber(folder) === undefined) {
    return { problems: [...rules, 'nothing has been published yet'], files: 0, packages: 0, date: '', validUntil: '' };
  }
  const missing: string[] = [];
  for (const { file, size } of packageFiles(kernels)) {
    const path = join(file.endsWith('.deb') ? paths.pool.deb : paths.pool.rpm, file);
    const found = existsSync(path) ? statSync(path).size : undefined;
    if (found !== size)
      missing.push(`pool: ${file} ${found === undefined ? 'is missing' : `has ${found} bytes instead of ${size}`}`);
  }
  // The channel's own root, not that of the tree, which somebody could have exchanged where it is served.
  const first = join(paths.tuf, '1.root.json');
  const tree = await checkTree(paths.public, ring, now, existsSync(first) ? readFileSync(first) : undefined);
  const served = existsSync(join(paths.public, 'kernels.json'))
    ? readFileSync(join(paths.public, 'kernels.json'), 'utf8')
    : '';
  const waiting = kernels
    .filter(({ release }) => !served.includes(`"release": "${release}"`))
    .map(({ release }) => `${release} was added but is not published`);
  return { ...tree, problems: [...rules, ...missing, ...tree.problems, ...waiting] };
}

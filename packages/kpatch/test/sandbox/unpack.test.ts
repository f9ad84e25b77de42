/** Archives with more files than anything real has: they are left where they begin to be too many. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { runOk } from '#kpatch/base/run.ts';
import { unpackDeb, unpackDebs } from '#kpatch/distro/debian/unpack.ts';
import { unpackRpm } from '#kpatch/distro/fedora/rpm.ts';
import { unpackSource } from '#kpatch/prepare/offer/source-tree.ts';
import { packageEntries, sourceEntries, unpackInto } from '#kpatch/sandbox/unpack.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';

const most = 2000;
const many = 9000;

/** A tar archive of one empty file under `count` names, in a folder. */
async function archiveOf(folder: string, count: number): Promise<string> {
  const file = join(folder, `${count}.tar`);
  writeFileSync(join(folder, 'one'), '');
  writeFileSync(join(folder, 'list'), 'one\n'.repeat(count));
  const rename = ['--hard-dereference', '--transform=s,.*,linux/x,'];
  await runOk('tar', ['-cf', file, ...rename, '-C', folder, '-T', join(folder, 'list')]);
  // One name each: the headers of the copies differ in nothing else, and their sums are of the same digits.
  const bytes = readFileSync(file);
  for (let index = 0; index < count; index++) {
    const at = index * 512;
    const name = `linux/${String(index).padStart(6, '0')}`;
    bytes.fill(0, at, at + 100).write(name, at, 'latin1');
    bytes.fill(32, at + 148, at + 156);
    let sum = 0;
    for (const byte of bytes.subarray(at, at + 512)) sum += byte;
    bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, at + 148, 'latin1');
  }
  writeFileSync(file, bytes);
  return file;
}

/** A deb package with this archive as its content. */
async function debOf(folder: string, archive: string): Promise<string> {
  mkdirSync(join(folder, 'root/DEBIAN'), { recursive: true });
  const fields = ['Package: p', 'Version: 1', 'Architecture: all', 'Maintainer: m <m@example.org>', 'Description: p'];
  writeFileSync(join(folder, 'root/DEBIAN/control'), `${fields.join('\n')}\n`);
  const file = join(folder, 'p.deb');
  await runOk('dpkg-deb', ['-Zgzip', '-z1', '--build', join(folder, 'root'), file]);
  await runOk('sh', ['-c', `gzip -1 < ${archive} > ${join(folder, 'data.tar.gz')}`]);
  await runOk('sh', ['-c', `cd ${folder} && ar x p.deb control.tar.gz debian-binary`]);
  const members = ['debian-binary', 'control.tar.gz', 'data.tar.gz'].map((name) => join(folder, name));
  const made = join(folder, 'many.deb');
  await runOk('ar', ['rc', made, ...members]);
  return made;
}

/** An rpm package with as many empty files. */
async function rpmOf(folder: string, count: number): Promise<string> {
  const spec = join(folder, 'p.spec');
  const head = 'Name: p\nVersion: 1\nRelease: 1\nSummary: p\nLicense: GPL\nBuildArch: noarch\n%description\np\n';
  const make = `mkdir -p %{buildroot}/m\ncd %{buildroot}/m\nseq ${count} | xargs touch\n`;
  writeFileSync(spec, `${head}%install\n${make}%files\n/m\n`);
  await runOk('rpmbuild', ['-bb', '--quiet', '--define', `_topdir ${folder}`, spec]);
  return join(folder, 'RPMS/noarch/p-1-1.noarch.rpm');
}

function filesBelow(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;
}

attack(
  {
    area: 'sandbox',
    attacker: 'mirror',
    how: 'a package and a source archive of a kernel with very many files, which fill the disk with names',
  },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const archive = await archiveOf(folder.path, many);
    const deb = await debOf(folder.path, archive);
    const rpm = await rpmOf(folder.path, 3000);
    const ways: readonly [string, (root: string) => Promise<void>][] = [
      ['deb', (root) => unpackDeb(deb, root, most)],
      ['debs', (root) => unpackDebs([deb, deb], root, most)],
      ['rpm', (root) => unpackRpm(rpm, root, most)],
      ['archive', (root) => unpackSource({ kind: 'archive', path: archive }, root, most)],
    ];
    const said = [];
    for (const [name, unpack] of ways) {
      const root = join(folder.path, name);
      said.push(await provokes('archive-too-large', () => unpack(root)));
      assert.match(said.at(-1)!.message, /more than 2000 files and folders/, name);
      // What was under way when the count was reached.
      assert.ok(filesBelow(root) < most + 900, `${name}: ${filesBelow(root)}`);
    }
    return said[0]!;
  },
);

test('what is as large as allowed is unpacked whole', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const archive = await archiveOf(folder.path, most);
  const deb = await debOf(folder.path, archive);
  const at = (name: string): string => join(folder.path, name);
  await unpackDeb(deb, at('deb'), most);
  await unpackDebs([deb, deb], at('debs'), most);
  await unpackSource({ kind: 'archive', path: archive }, at('archive'), most);
  await unpackRpm(await rpmOf(folder.path, most - 1), at('rpm'), most);
  for (const name of ['deb', 'debs', 'archive']) assert.equal(filesBelow(at(name)), most, name);
  assert.equal(filesBelow(at('rpm')), most - 1, 'with its folder');
  // The common headers of Debian 12 have 10,000 files, Linux 7 about 100,000.
  assert.ok(packageEntries > 50_000);
  assert.ok(sourceEntries > 250_000);
});

test('a program that is missing or fails while it unpacks is named', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const root = join(folder.path, 'out');
  const unpacking = (pipeline: string): Promise<void> => unpackInto(root, { archives: [], pipeline, most });
  const missing = await provokes('tool-missing', () => unpacking('no-such-unpacker | counted'));
  assert.match(missing.message, /no-such-unpacker/);
  const failed = await provokes('tool-failed', () => unpacking('(echo "cpio: it is damaged"; exit 2) | counted'));
  assert.match(failed.detail ?? '', /cpio: it is damaged/, 'what cpio says where it lists files');
  await provokes('disk-full', () => unpacking('(echo "cpio: write error: No space left on device"; exit 2) | counted'));
});

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { sha256 } from '#kpatch/base/digest.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { buildDeb } from '#kpatch/channel/package/deb.ts';
import { buildLivePatch, livePatchSpec } from '#kpatch/channel/package/livepatch.ts';
import { packageNames } from '#kpatch/channel/package/name.ts';
import { readPackage } from '#kpatch/channel/package/read.ts';
import { emptyRecord, readRecord, recordOf } from '#kpatch/channel/package/record.ts';
import { readPatchModule } from '#kpatch/channel/patch-module.ts';
import { proofOf } from '../host/trust.ts';
import { provokes } from '../provoke.ts';
import { type ModuleFields, writeModule } from './module-file.ts';

const kernel = '6.1.0-56-amd64';

async function build(folder: string, fields: ModuleFields = {}, release = 1): Promise<{ deb?: string; rpm?: string }> {
  const module = readPatchModule(writeModule(folder, fields));
  return buildLivePatch(recordOf(module, release, new Map()), module, folder);
}

function said(command: string, ...args: string[]): string {
  const result = spawnSync(command, args, { encoding: 'utf8' });
  assert.equal(result.status, 0, `${command} ${args.join(' ')}: ${result.stderr}`);
  return result.stdout;
}

test('packages are named as the field names them', () => {
  assert.deepEqual(packageNames(kernel), {
    deb: 'kpatch-patch-6.1.0-56-amd64',
    rpm: 'kpatch-patch-6_1_0-56-amd64',
    dist: '',
  });
  assert.deepEqual(packageNames('5.14.0-427.13.1.el9_4.x86_64'), {
    deb: 'kpatch-patch-5.14.0-427.13.1.el9-4.x86-64',
    rpm: 'kpatch-patch-5_14_0-427_13_1',
    dist: '.el9_4',
  });
});

test('a .deb and an .rpm carry module, proof and record, and say so to dpkg and rpm', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const file = writeModule(folder.path, { version: 3, cves: ['CVE-2026-2', 'CVE-2026-1001'].slice(1) });
  const proof = JSON.stringify(proofOf(file));
  writeFileSync(file.replace('.ko', '.proof.json'), proof);
  const result = spawnSync('bin/kpatch', ['package', file, '--release', '2', '-o', folder.path, '--json'], {
    encoding: 'utf8',
  });
  assert.equal(result.status, 0, result.stdout + result.stderr);
  const [{ deb, rpm }] = JSON.parse(result.stdout).packages;
  assert.equal(basename(deb), 'kpatch-patch-6.1.0-56-amd64_3-2_amd64.deb');
  assert.equal(basename(rpm), 'kpatch-patch-6_1_0-56-amd64-3-2.x86_64.rpm');
  assert.equal(said('dpkg-deb', '-f', deb, 'Version', 'Depends'), 'Version: 3-2\nDepends: kpatch\n');
  const name = 'kpatch_6_1_0_56_amd64_3_1';
  const files = ['advisory.json', `${name}.ko`, `${name}.proof.json`].map(
    (base) => `/usr/lib/kpatch/${kernel}/${base}`,
  );
  assert.deepEqual(said('rpm', '-qpl', rpm).trim().split('\n'), files);
  const inDeb = said('dpkg-deb', '-c', deb)
    .trim()
    .split('\n')
    .map((line) => line.split(/\s+/))
    .filter((row) => row[0]!.startsWith('-'));
  assert.deepEqual(
    inDeb.map((row) => row[5]),
    files.map((path) => `.${path}`),
  );
  assert.ok(inDeb.every((row) => row[1] === 'root/root' && row[0] === '-rw-r--r--'));
  assert.equal(said('rpm', '-qp', '--scripts', '--triggers', '--filetriggers', rpm), '', 'it runs nothing');
  const parts = said('bash', '-c', `ar p "$1" control.tar.xz | tar -tJ | sort`, 'list', deb);
  assert.equal(parts, './\n./control\n./md5sums\n', 'it runs nothing');
  for (const made of [deb, rpm]) {
    const read = await readPackage(made);
    assert.equal(read.record.version, 3);
    assert.deepEqual(
      read.record.cves.map((cve) => cve.id),
      ['CVE-2026-1001'],
    );
    assert.deepEqual(read.module?.bytes, readFileSync(file));
  }
});

test('the same module gives the same bytes, whatever the day and the folder', async () => {
  using one = temporaryFolder('kpatch-test-');
  using two = temporaryFolder('kpatch-test-other-name-');
  const a = await build(one.path);
  const b = await build(two.path);
  assert.deepEqual(readFileSync(a.deb!), readFileSync(b.deb!));
  assert.deepEqual(readFileSync(a.rpm!), readFileSync(b.rpm!));
});

test('the empty package of a kernel has no module and no scripts', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const made = await buildLivePatch(emptyRecord(kernel, 'x86_64'), undefined, folder.path);
  assert.equal(basename(made.deb!), 'kpatch-patch-6.1.0-56-amd64_0-0_amd64.deb');
  assert.equal((await readPackage(made.deb!)).module, undefined);
  assert.equal(said('rpm', '-qp', '--scripts', made.rpm!), '');
});

test('modules that cannot be packaged truthfully are refused', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const refused: ModuleFields[] = [
    { manifest: null },
    { vermagic: '6.1.192 SMP preempt' },
    { manifest: { name: 'a b' } },
    { manifest: { release: '../../etc' }, vermagic: '../../etc' },
    { manifest: { cves: ['CVE-1'] } },
    { manifest: { version: 0 } },
  ];
  for (const fields of refused)
    await provokes('channel-module', () => readPatchModule(writeModule(folder.path, fields)));
  const file = writeModule(folder.path);
  writeFileSync(
    file.replace('.ko', '.proof.json'),
    JSON.stringify(proofOf(file, { module: { name: 'one', file: 'one.ko', sha256: '0'.repeat(64) } })),
  );
  await provokes('channel-proof-mismatch', () => readPatchModule(file));
  writeFileSync(
    file.replace('.ko', '.proof.json'),
    JSON.stringify({ module: { sha256: sha256(readFileSync(file)) }, verdict: 'proven' }),
  );
  await provokes('proof-invalid', () => readPatchModule(file));
});

test('a package whose name, record and module differ is not taken', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const made = await build(folder.path);
  const renamed = join(folder.path, 'kpatch-patch-6.1.0-55-amd64_1-1_amd64.deb');
  copyFileSync(made.deb!, renamed);
  await provokes('channel-package', () => readPackage(renamed));
  const short = join(folder.path, 'short.rpm');
  writeFileSync(short, readFileSync(made.rpm!).subarray(0, 600));
  await provokes('channel-package', () => readPackage(short));
  await provokes('channel-package', () => readPackage(join(folder.path, 'x.txt')));
  // A record that speaks of another module.
  const module = readPatchModule(writeModule(folder.path));
  const record = recordOf(module, 1, new Map());
  const other = { ...record, module: { ...record.module!, sha256: 'f'.repeat(64) } };
  const file = join(folder.path, 'kpatch-patch-6.1.0-56-amd64_1-1_amd64.deb');
  await buildDeb(livePatchSpec(other, module), file);
  await provokes('channel-package', () => readPackage(file));
  renameSync(file, file.replace('56-', '57-'));
  await provokes('channel-record', () => readRecord({ schema: 'other' }, 'f'));
});

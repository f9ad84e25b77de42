/** What kpatch 0.1 delivered: packages, and a channel's folder that this version checks, adds to and publishes from. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { readPackage } from '#kpatch/channel/package/read.ts';
import { readPatchModule } from '#kpatch/channel/patch-module.ts';
import { addPatches } from '#kpatch/channel/repository/add.ts';
import { checkChannel } from '#kpatch/channel/repository/check.ts';
import { layout, readConfig } from '#kpatch/channel/repository/config.ts';
import { newestPatch, readKernel } from '#kpatch/channel/repository/kernel.ts';
import { publish, servedNumber } from '#kpatch/channel/repository/publish.ts';
import { gnupgHome } from '../channel/keys.ts';
import { writeModule } from '../channel/module-file.ts';
import { provokes } from '../provoke.ts';
import { cumulative, fixture, release, unpack } from './fixtures.ts';

/** A day on which the publication of the fixture is valid. */
const then = new Date('2026-12-01T12:00:00Z');

gnupgHome();
const imported = spawnSync('gpg', ['--batch', '--import', fixture('channel-secret-key.asc')], { encoding: 'utf8' });
assert.equal(imported.status, 0, imported.stderr);

for (const name of [
  'kpatch-patch-6.1.0-57-amd64_1-1_amd64.deb',
  'kpatch-patch-6_1_0-57-amd64-1-1.x86_64.rpm',
] as const) {
  test(`${name}: record, module and proof are read`, async () => {
    const { record, module } = await readPackage(fixture(`packages/${name}`));
    assert.equal(record.kernel, release);
    assert.equal(record.module?.name, cumulative);
    assert.deepEqual(module?.manifest.cves, ['CVE-1900-0001']);
    assert.ok(module?.proof);
  });
}

test('a channel: valid on its day, frozen after it, and the next publication is made from it', async () => {
  using folder = temporaryFolder('kpatch-compat-');
  const channel = unpack('channel', join(folder.path, 'channel'));
  const config = readConfig(channel);
  const ring = readFileSync(join(layout(channel).public, 'key.gpg'));
  const checked = await checkChannel(channel, config, ring, then);
  // 0.1 believed every proof; the patches stay, but the publisher is told that nothing checked them.
  assert.deepEqual(checked.problems, ['channel.json: it requires proofs, but names no key in require.proofKeys']);
  assert.equal(checked.packages, 6);
  const late = await checkChannel(channel, config, ring, new Date('2027-01-15T00:00:00Z'));
  assert.notDeepEqual(late.problems, []);

  const anyProof = { ...config, require: { proof: false, moduleSignature: false } };
  const { buildId } = readPatchModule(fixture(`${cumulative}.ko`)).manifest;
  const cves = ['CVE-1900-0001', 'CVE-1900-0002'];
  const file = writeModule(folder.path, {
    release,
    version: 2,
    cves,
    manifest: buildId === undefined ? {} : { buildId },
  });
  await addPatches(channel, anyProof, [file], { release: 1, withdrawn: [], advisories: new Map(), now: then });
  await publish(channel, anyProof, then, silentReporter());
  assert.equal(servedNumber(channel), 2);
  assert.equal(newestPatch(readKernel(channel, release))?.record.version, 2);
  assert.deepEqual((await checkChannel(channel, anyProof, ring, then)).problems, []);
});

test('a channel whose files have a later format is refused', async () => {
  using folder = temporaryFolder('kpatch-compat-');
  const channel = unpack('channel', join(folder.path, 'channel'));
  const { config } = layout(channel);
  writeFileSync(config, readFileSync(config, 'utf8').replace('kpatch.channel/1', 'kpatch.channel/9'));
  await provokes('channel-config', () => readConfig(channel));
  const kernel = join(layout(channel).kernels, `${release}.json`);
  writeFileSync(kernel, readFileSync(kernel, 'utf8').replace('kpatch.channel-kernel/1', 'kpatch.channel-kernel/9'));
  await provokes('channel-config', () => readKernel(channel, release));
});

/** Provenance travels with a patch: into packages, into the TUF repository, to the machine. Channels without it work as before. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import type { Plain } from '#kpatch/base/plain.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { update } from '#kpatch/channel/follow/follow.ts';
import { writeSettings } from '#kpatch/channel/follow/settings.ts';
import { followTuf } from '#kpatch/channel/follow/tuf/follow.ts';
import { settleUnpacked } from '#kpatch/channel/follow/unpacked.ts';
import { buildLivePatch, livePatchSpec } from '#kpatch/channel/package/livepatch.ts';
import { readPackage } from '#kpatch/channel/package/read.ts';
import { recordOf } from '#kpatch/channel/package/record.ts';
import { readPatchModule } from '#kpatch/channel/patch-module.ts';
import { listedPatches } from '#kpatch/channel/tuf/target.ts';
import { thisMachine } from '#kpatch/host/machine/machine.ts';
import { installedPatches } from '#kpatch/host/store/store.ts';
import { provenancePath } from '#kpatch/module/proof-path.ts';
import { attack } from '../attack.ts';
import { attest } from '../host/attest.ts';
import { proofKeyPair, type TestKey } from '../host/trust.ts';
import { provokes } from '../provoke.ts';
import { gnupgHome, makeKey } from './keys.ts';
import { moduleName, writeModule } from './module-file.ts';
import { Publisher, running } from './publisher.ts';
import { TufChannel, urlOf } from './tuf-channel.ts';

gnupgHome();
const report = silentReporter();
const patches = (root: string): string[] => installedPatches(thisMachine(root), running).map(({ name }) => name);

/** An image whose policy demands provenance by `key`, if one is given. */
function image(folder: string, key?: TestKey): string {
  const root = join(folder, 'image');
  for (const path of ['boot', 'etc/kpatch/keys', 'var/lib']) mkdirSync(join(root, path), { recursive: true });
  writeFileSync(join(root, 'boot', `vmlinuz-${running}`), '');
  if (key !== undefined) {
    copyFileSync(key.pub, join(root, 'etc/kpatch', key.name));
    const policy = { schema: 'kpatch.host-policy/1', provenance: { required: true, keys: [key.name] } };
    writeFileSync(join(root, 'etc/kpatch/host-policy.json'), JSON.stringify(policy));
  }
  return root;
}

async function attested(folder: string, key: TestKey, version = 1): Promise<string> {
  const file = writeModule(folder, { version });
  await attest(file, key);
  return file;
}

test('by TUF: the statement is a target, and a machine that demands it installs the patch with it', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const key = proofKeyPair(folder.path, 'builder');
  const root = image(folder.path, key);
  const channel = await TufChannel.make(folder.path);
  const file = await attested(channel.work, key);
  channel.addFile(file);
  await channel.publish();
  await followTuf(root, urlOf(channel.tree), channel.rootFile);
  writeSettings(root, { mode: 'auto' });
  await update(root);
  const [patch] = installedPatches(thisMachine(root), running);
  assert.deepEqual(readFileSync(provenancePath(patch!.path)), readFileSync(provenancePath(file)));
  // A version without a statement: the machine keeps what it has, and says why.
  channel.add({ version: 2 });
  writeSettings(root, { url: urlOf(await channel.publish()) });
  const { waiting } = await update(root);
  assert.match(waiting.join(), /it has no provenance/);
  assert.deepEqual(patches(root), [moduleName(running, 1)]);
});

test('a channel that was made before channels carried provenance is followed as before', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const root = image(folder.path);
  const channel = await TufChannel.make(folder.path);
  const patch = channel.add({ version: 1 });
  // What an earlier version kept of a patch has no such member.
  const { provenance: _, ...record } = patch.record;
  channel.kernels.set(running, [{ ...patch, record }]);
  const tree = await channel.publish();
  const list = join(tree, 'tuf/1.targets.json');
  assert.match(readFileSync(list, 'utf8'), /"provenance": null/);
  await followTuf(root, urlOf(tree), channel.rootFile);
  writeSettings(root, { mode: 'auto' });
  await update(root);
  assert.deepEqual(patches(root), [moduleName(running, 1)]);
});

test('packages carry the statement; what is unpacked meets the policy with it', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const key = proofKeyPair(folder.path, 'builder');
  const module = readPatchModule(await attested(folder.path, key));
  const record = recordOf(module, 1, new Map());
  const made = await buildLivePatch(record, module, folder.path);
  for (const file of [made.deb!, made.rpm!]) {
    const read = await readPackage(file);
    assert.deepEqual(read.module?.provenance, module.provenance, file);
    assert.deepEqual(read.record, record);
  }
  const root = image(folder.path, key);
  for (const [path, content] of livePatchSpec(record, module).files) {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  const { installed, waiting } = await settleUnpacked(root, report);
  assert.deepEqual([installed.length, waiting], [1, []]);
  assert.ok(existsSync(provenancePath(installedPatches(thisMachine(root), running)[0]!.path)));
});

test('a channel can require provenance, and never takes a statement of another module', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const key = proofKeyPair(folder.path, 'builder');
  const other = proofKeyPair(folder.path, 'other');
  const publisher = await Publisher.make(folder.path, makeKey('channel <provenance@example.org>'));
  publisher.require({ proof: false, moduleSignature: false, provenance: true });
  await provokes('channel-trust-missing', () => publisher.add({ version: 1 }));
  publisher.require(
    { proof: false, moduleSignature: false, provenance: true, builderKeys: ['keys/builder.pub'] },
    key.pub,
  );
  await provokes('channel-no-provenance', () => publisher.add({ version: 1 }));
  const file = await attested(folder.path, other);
  await provokes('channel-no-provenance', () => publisher.add({ version: 1 }));
  await attest(file, key, ({ predicate }) => {
    predicate.buildDefinition.externalParameters.version = 7;
  });
  await provokes('channel-provenance-mismatch', () => publisher.add({ version: 1 }));
  await attest(file, key);
  const [added] = await publisher.add({ version: 1 });
  assert.equal(added?.version, '1-1');
  const listing = execFileSync('dpkg-deb', [
    '-c',
    join(publisher.folder, 'pool/deb', added!.packages.find((name) => name.endsWith('.deb'))!),
  ]);
  assert.match(listing.toString(), /\.provenance\.json/);
});

attack(
  {
    area: 'provenance',
    attacker: 'channel key',
    how: 'the holder of every key of the channel lists a module with a statement of its own, or leads it to another target',
  },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const key = proofKeyPair(folder.path, 'builder');
    const root = image(folder.path, key);
    const channel = await TufChannel.make(folder.path);
    channel.addFile(await attested(channel.work, proofKeyPair(folder.path, 'thief')));
    await channel.publish();
    await followTuf(root, urlOf(channel.tree), channel.rootFile);
    writeSettings(root, { mode: 'auto' });
    const { waiting } = await update(root);
    assert.deepEqual(patches(root), []);
    const { signed } = JSON.parse(readFileSync(join(channel.tree, 'tuf/1.targets.json'), 'utf8')) as {
      signed: Plain & { targets: Record<string, { custom: Record<string, unknown> }> };
    };
    for (const path of ['../../etc/passwd', `${running}/none.provenance.json`, 7, ['x']]) {
      signed.targets[`${running}/${moduleName(running, 1)}.ko`]!.custom.provenance = path;
      await provokes('tuf-record', () => listedPatches(signed));
    }
    return waiting.join();
  },
);

/** The owner of a channel's key may bring live patches and nothing else, whatever the channel's metadata says of itself. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run, runOk } from '#kpatch/base/run.ts';
import { update } from '#kpatch/channel/follow/follow.ts';
import { managerOf } from '#kpatch/channel/follow/manager/detect.ts';
import { followPackages as follow } from '#kpatch/channel/follow/packages.ts';
import { writeSettings } from '#kpatch/channel/follow/settings.ts';
import { buildDeb } from '#kpatch/channel/package/deb.ts';
import { checkTree } from '#kpatch/channel/repository/check.ts';
import { layout, writeConfig } from '#kpatch/channel/repository/config.ts';
import { writeApt } from '#kpatch/channel/repository/index/apt.ts';
import { addKey, retireKey } from '#kpatch/channel/repository/rotate.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';
import { gnupgHome, makeKey } from './keys.ts';
import { debianMachine, rhelMachine } from './machines.ts';
import { Publisher } from './publisher.ts';
import { serve } from './server.ts';

gnupgHome();

attack(
  { area: 'channel', attacker: 'channel key', how: 'metadata of the apt repository that escapes the pins on its name' },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const key = makeKey('owner <owner@example.org>');
    const publisher = await Publisher.make(folder.path, key);
    await publisher.publish();
    const keyFile = join(layout(publisher.folder).public, 'key.asc');
    const evil = join(folder.path, 'evil');
    cpSync(layout(publisher.folder).public, evil, { recursive: true, dereference: true });
    await using server = await serve(evil);
    const { root } = debianMachine(folder.path);
    const dist = join(evil, 'apt/dists/live');
    const release = join(dist, 'Release');
    writeFileSync(release, readFileSync(release, 'utf8').replace(/^Origin: .*/m, 'Origin: Debian'));
    await runOk('gpg', ['--batch', '--yes', '-u', key, '-o', join(dist, 'InRelease'), '--clearsign', release]);
    await follow(root, server.url, keyFile);
    // The machine's own apt has no source of that name at all.
    const options = ['-o', `Dir=${root}`, '-o', `Dir::State::status=${join(root, 'var/lib/dpkg/status')}`];
    const policy = (await run('apt-cache', [...options, 'policy'])).stdout.toString();
    assert.doesNotMatch(policy, /127\.0\.0\.1/);
    assert.equal(existsSync(join(root, 'etc/apt/sources.list.d/kpatch-channel.sources')), false);
    assert.doesNotMatch(readFileSync(join(root, 'etc/kpatch/channel.conf'), 'utf8'), new RegExp(root));
    return 'the channel is a source of kpatch’s own calls alone';
  },
);

attack(
  {
    area: 'channel',
    attacker: 'channel key',
    how: 'a live patch package that depends on a newer bash, which the channel brings along',
  },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const { root } = debianMachine(folder.path);
    const tree = join(folder.path, 'tree');
    mkdirSync(join(tree, 'apt/pool'), { recursive: true });
    const spec = {
      rpmName: 'x',
      version: '99',
      debRelease: '1',
      rpmRelease: '1',
      arch: 'noarch',
      summary: 'x',
      description: ['x'],
      configFiles: [],
    };
    const names = { deb: 'kpatch-patch-6.1.0-56-amd64' };
    const files = new Map([['/usr/share/x', 'x']]);
    const pool = (name: string): string => join(tree, 'apt/pool', `${name}_99-1_all.deb`);
    await buildDeb({ ...spec, debName: names.deb, depends: ['bash (>= 99)'], files }, pool(names.deb));
    await buildDeb({ ...spec, debName: 'bash', depends: [], files: new Map([['/bin/bash', 'evil']]) }, pool('bash'));
    const key = makeKey('thief <thief@example.org>');
    const config = { ...(await Publisher.make(folder.path, key)).config, keys: [key] };
    const date = new Date(Date.now() - 5000);
    const publication = { config, kernels: [], date, validUntil: new Date(Date.now() + 86_400_000) };
    await writeApt(tree, config, publication, join(folder.path, 'cache'));
    const keyFile = join(folder.path, 'key.gpg');
    writeFileSync(keyFile, (await run('gpg', ['--export', key])).stdout);
    await using server = await serve(tree);
    await follow(root, server.url, keyFile);
    const error = await provokes('channel-inconsistent', () => update(root, ['6.1.0-56-amd64']));
    assert.match(error.message, /would also change bash/);
    assert.equal(existsSync(join(root, 'bin/bash')), false);
    return error;
  },
);

attack(
  { area: 'channel', attacker: 'channel key', how: 'a retired key that leaked signs a mirror of packages' },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const [old, next] = [makeKey('old <old@example.org>'), makeKey('next <next@example.org>')];
    const publisher = await Publisher.make(folder.path, old, {}, new Date(Date.now() - 60_000));
    await publisher.add({ version: 1 });
    await publisher.publish();
    const { root } = debianMachine(folder.path);
    const keyFile = join(folder.path, 'key.asc');
    cpSync(join(layout(publisher.folder).public, 'key.asc'), keyFile);
    await using server = await serve(layout(publisher.folder).public);
    await follow(root, server.url, keyFile);
    writeConfig(publisher.folder, await addKey(publisher.config, next));
    await publisher.publish();
    await update(root, ['6.1.0-56-amd64']);
    writeConfig(publisher.folder, await retireKey(publisher.folder, publisher.config, old, true));
    await publisher.publish();
    await provokes('channel-key', () => addKey(publisher.config, old));
    const ring = readFileSync(join(layout(publisher.folder).public, 'key.gpg'));
    assert.deepEqual((await checkTree(layout(publisher.folder).public, ring, new Date())).problems, []);
    await update(root);
    const thief = await Publisher.make(join(folder.path, 'thief'), old);
    await thief.add({ version: 9 });
    await thief.publish();
    server.folder = layout(thief.folder).public;
    const { problems } = await checkTree(server.folder, ring, new Date());
    assert.match(problems.join(), /InRelease: invalid signature/, 'channel check says so too');
    return await provokes('channel-untrusted', () => update(root));
  },
);

attack(
  { area: 'channel', attacker: 'mirror', how: 'an old publication for dnf, at another address than before' },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const key = makeKey('dnf <dnf@example.org>');
    const publisher = await Publisher.make(folder.path, key);
    await publisher.publish();
    const keyFile = join(folder.path, 'key.asc');
    cpSync(join(layout(publisher.folder).public, 'key.asc'), keyFile);
    const { root } = await rhelMachine(folder.path);
    await using server = await serve(layout(publisher.folder).public);
    await follow(root, server.url, keyFile);
    const old = await Publisher.make(join(folder.path, 'old'), key, {}, new Date(Date.now() - 20 * 86_400_000));
    await old.publish();
    await using other = await serve(layout(old.folder).public);
    const error = await provokes('channel-frozen', () => follow(root, other.url, keyFile));
    const repository = readFileSync(join(root, 'etc/yum.repos.d/kpatch-channel.repo'), 'utf8');
    assert.match(repository, new RegExp(`baseurl=${server.url}/`), 'the source from before is back');
    assert.match(repository, /^gpgkey=file:\/\/\/etc\/pki\//m, 'the path is that of the machine in the image');
    return error;
  },
);

test('a follow that fails leaves neither source nor key nor settings', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const { root } = debianMachine(folder.path);
  const keyFile = join(folder.path, 'key.gpg');
  writeFileSync(keyFile, (await run('gpg', ['--export', makeKey('gone <gone@example.org>')])).stdout);
  await provokes('channel-unreachable', () => follow(root, 'http://127.0.0.1:9', keyFile));
  for (const file of ['etc/kpatch/channel.conf', 'etc/apt/keyrings/kpatch-channel.gpg'])
    assert.equal(existsSync(join(root, file)), false, file);
  await provokes('channel-not-followed', () => update(root));
});

test('a link that leads out of an image is not followed', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const { root } = debianMachine(folder.path);
  assert.equal(managerOf(root).name, 'apt');
  symlinkSync('/etc/kernel', join(root, 'etc/kernel'));
  const error = await provokes('usage', () => managerOf(root));
  await provokes('usage', () => writeSettings(root, { mode: 'auto' }));
  assert.match(error.message, /etc\/kernel leads to \/etc\/kernel, which is outside/);
});

/** The owner of a channel's key may bring live patches and nothing else, whatever the channel's metadata says of itself. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run, runOk } from '#kpatch/base/run.ts';
import { update } from '#kpatch/channel/follow/follow.ts';
import { managerOf } from '#kpatch/channel/follow/manager/detect.ts';
import { followPackages as follow } from '#kpatch/channel/follow/packages.ts';
import { writeSettings } from '#kpatch/channel/follow/settings.ts';
import { layout } from '#kpatch/channel/repository/config.ts';
import { provokes } from '../provoke.ts';
import { gnupgHome, makeKey } from './keys.ts';
import { debianMachine } from './machines.ts';
import { Publisher } from './publisher.ts';
import { serve } from './server.ts';

gnupgHome();

test('metadata by which no pin could hold the channel is refused, and the channel is no source then', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const key = makeKey('owner <owner@example.org>');
  const publisher = await Publisher.make(folder.path, key);
  await publisher.publish();
  const keyFile = join(layout(publisher.folder).public, 'key.asc');
  await using server = await serve('');
  const { root } = debianMachine(folder.path);
  const source = join(root, 'etc/apt/sources.list.d/kpatch-channel.sources');
  for (const [i, [field, value]] of [
    ['Origin', 'test, n=other'],
    ['Origin', 'te*'],
    ['Codename', 'other'],
    ['Origin', 'test\nOrigin: Debian'],
  ].entries()) {
    server.folder = join(folder.path, `evil-${i}`);
    cpSync(layout(publisher.folder).public, server.folder, { recursive: true, dereference: true });
    const dist = join(server.folder, 'apt/dists/live');
    const release = join(dist, 'Release');
    writeFileSync(
      release,
      readFileSync(release, 'utf8').replace(new RegExp(`^${field}: .*`, 'm'), `${field}: ${value}`),
    );
    await runOk('gpg', ['--batch', '--yes', '-u', key, '-o', join(dist, 'InRelease'), '--clearsign', release]);
    const error = await provokes('channel-inconsistent', () => follow(root, server.url, keyFile));
    assert.match(error.message, /apt could install other packages/);
    assert.equal(existsSync(source), false);
    await provokes('channel-not-followed', () => update(root));
  }
  server.folder = layout(publisher.folder).public;
  await follow(root, server.url, keyFile);
  const options = ['-o', `Dir=${root}`, '-o', `Dir::State::status=${join(root, 'var/lib/dpkg/status')}`];
  const policy = (await run('apt-cache', [...options, 'policy'])).stdout.toString();
  assert.match(
    policy,
    /-1 http:\/\/127\.0\.0\.1:\d+\/apt live\/main amd64 Packages\n +release [^\n]*o=test,[^\n]*n=live/,
  );
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

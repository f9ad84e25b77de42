/**
 * Following with real apt and dpkg, and with real dnf and rpm: each into a root of its own, from a web server on loopback that
 * can behave as badly as a mirror can. Whatever it serves, the machine keeps what it had.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ErrorCode } from '#kpatch/base/errors/catalogue.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run } from '#kpatch/base/run.ts';
import { auto, manual, status, update } from '#kpatch/channel/follow/follow.ts';
import { managerOf } from '#kpatch/channel/follow/manager/detect.ts';
import { readPublicKeys } from '#kpatch/channel/follow/manager/key.ts';
import { refusal } from '#kpatch/channel/follow/manager/refusal.ts';
import { channelMetricsText } from '#kpatch/channel/follow/metrics.ts';
import { followPackages as follow } from '#kpatch/channel/follow/packages.ts';
import { needSettings, readSettings, writeSettings } from '#kpatch/channel/follow/settings.ts';
import { supportOf, supportText } from '#kpatch/channel/follow/support.ts';
import { layout, writeConfig } from '#kpatch/channel/repository/config.ts';
import { writeApt } from '#kpatch/channel/repository/index/apt.ts';
import { writeDnf } from '#kpatch/channel/repository/index/dnf.ts';
import { addKey, retireKey } from '#kpatch/channel/repository/rotate.ts';
import { thisMachine } from '#kpatch/host/machine/machine.ts';
import { installedPatches } from '#kpatch/host/store/store.ts';
import { provokes } from '../provoke.ts';
import { gnupgHome, makeKey } from './keys.ts';
import { debianMachine, installKernel, rhelMachine, type TestMachine } from './machines.ts';
import { moduleName } from './module-file.ts';
import { newer, Publisher, running } from './publisher.ts';
import { type Server, serve } from './server.ts';

gnupgHome();
const key = makeKey('channel <channel@example.org>');
const day = 86_400_000;

interface Scene extends AsyncDisposable {
  readonly publisher: Publisher;
  readonly server: Server;
  readonly machine: TestMachine;
  readonly keyFile: string;
  /** Version of the running kernel's package that is installed. */
  version(): Promise<string>;
  /** Names of the patches in the machine's store for the running kernel. */
  installed(): string[];
}

async function scene(make: (folder: string) => TestMachine | Promise<TestMachine>): Promise<Scene> {
  const folder = temporaryFolder('kpatch-test-');
  const publisher = await Publisher.make(folder.path, key);
  await publisher.add({ version: 1, cves: ['CVE-2026-1001'] });
  await publisher.publish();
  const server = await serve(layout(publisher.folder).public);
  const machine = await make(folder.path);
  installKernel(machine, running);
  const keyFile = join(folder.path, 'key.asc');
  writeFileSync(keyFile, readFileSync(join(layout(publisher.folder).public, 'key.asc')));
  const manager = managerOf(machine.root);
  return {
    publisher,
    server,
    machine,
    keyFile,
    installed: () => installedPatches(thisMachine(machine.root), running).map(({ name }) => name),
    version: async () => (await manager.installed('kpatch-patch-')).get(manager.packageFor(running)) ?? '',
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      folder.dispose();
    },
  };
}

const families = [
  {
    name: 'apt',
    make: debianMachine,
    package: /\/kpatch-patch.*_3-1_amd64\.deb$/,
    index: /\/Packages|by-hash/,
    signed: 'apt/dists/live/InRelease',
  },
  {
    name: 'dnf',
    make: rhelMachine,
    package: /\/kpatch-patch.*-3-1\.x86_64\.rpm$/,
    index: /-primary\.xml/,
    signed: 'rpm/repodata/repomd.xml',
  },
] as const;

for (const family of families) {
  test(`${family.name}: first subscription, upgrades, a new kernel, manual`, async () => {
    await using stage = await scene(family.make);
    const { publisher, server, machine, keyFile } = stage;
    const { root } = machine;
    await follow(root, server.url, keyFile);
    const first = await auto(root);
    assert.deepEqual(
      first.changes
        .map(({ to }) => to)
        .sort()
        .at(-1) !== undefined,
      true,
    );
    assert.equal(await stage.version(), '1-1');
    assert.deepEqual(stage.installed(), [moduleName(running, 1)]);
    assert.deepEqual(machine.calls(), [], 'no package runs a script');
    await publisher.add({ version: 2, cves: ['CVE-2026-1001', 'CVE-2026-1002'] });
    await publisher.publish();
    const dry = await update(root, [], true);
    assert.deepEqual(
      dry.changes.filter(({ package: name }) => name.startsWith('kpatch-patch')).map(({ from, to }) => [from, to]),
      [['1-1', '2-1']],
    );
    assert.equal(await stage.version(), '1-1', 'a dry run changes nothing');
    await update(root);
    assert.equal(await stage.version(), '2-1');
    assert.deepEqual(stage.installed(), [moduleName(running, 2)]);
    // A kernel that is installed later is subscribed by the next update, before it has a patch of its own.
    installKernel(machine, newer);
    installKernel(machine, '9.9.9-other');
    const subscribed = await update(root);
    assert.deepEqual(subscribed.unknown, ['9.9.9-other']);
    const now = await status(root);
    const other = now.kernels.find((kernel) => kernel.release === newer)!;
    assert.equal(other.installed, '0-0');
    assert.deepEqual(now.problems, []);
    assert.equal(now.mode, 'auto');
    const support = supportOf(running, root)!;
    assert.equal(support.state, 'supported');
    assert.equal(support.rebootInto, newer);
    assert.match(supportText(support), new RegExp(`reboot into ${newer} by then`));
    const ended = await status(root, new Date(Date.now() + 200 * day));
    assert.equal(ended.kernels.at(-1)!.support?.state, 'ended');
    assert.match(supportText(ended.kernels.at(-1)!.support!), /no live patches since .*: reboot into .* now/);
    await manual(root);
    assert.equal(readSettings(root)?.mode, 'manual');
    assert.equal(existsSync(join(root, 'etc/systemd/system/kpatch-update.timer')), false);
    installKernel(machine, '6.1.0-58-amd64');
    await publisher.kernel('6.1.0-58-amd64', 0, '6.1.193-1');
    await publisher.publish();
    await update(root);
    assert.match((await status(root)).problems.join(), /6\.1\.0-58-amd64 is not subscribed/);
  });

  test(`${family.name}: whatever a mirror serves, the machine keeps what it had and says what is wrong`, async () => {
    await using stage = await scene(family.make);
    const { publisher, server, machine, keyFile } = stage;
    const { root } = machine;
    await follow(root, server.url, keyFile);
    await auto(root);
    await publisher.add({ version: 2 });
    await publisher.publish();
    await update(root);
    const old = readFileSync(join(server.folder, family.signed));
    const oldTree = join(publisher.work, 'old');
    spawnSync('cp', ['-rL', `${server.folder}/.`, oldTree]);
    await publisher.add({ version: 3 });
    await publisher.publish();
    const had = stage.installed();
    const refused = async (
      what: string,
      code: ErrorCode,
      intercept: Server['intercept'],
      folder = server.folder,
    ): Promise<void> => {
      const before = server.folder;
      server.folder = folder;
      server.intercept = intercept;
      const error = await provokes(code, () => update(root)).catch((failed: Error) => {
        throw new Error(`${what}: ${failed.message}`);
      });
      server.intercept = undefined;
      server.folder = before;
      assert.notEqual(error.exit, 0);
      assert.equal(await stage.version(), '2-1', what);
      assert.deepEqual(stage.installed(), had, `${what}: nothing was installed`);
    };
    const changed = (pattern: RegExp, change: (bytes: Buffer) => Buffer): Server['intercept'] => {
      return (path: string, response: ServerResponse) => {
        if (!pattern.test(path)) return false;
        const file = join(server.folder, path);
        if (!existsSync(file)) return false;
        response.writeHead(200).end(change(readFileSync(file)));
        return true;
      };
    };
    const flip = (bytes: Buffer): Buffer => {
      bytes[bytes.length >> 1]! ^= 1;
      return bytes;
    };
    // What is signed comes first: while it is refused, the machine does not get to see the new packages at all.
    const signed = new RegExp(`${family.signed.split('/').at(-1)}$`.replace('.', '\\.'));
    await refused(
      'a changed signed index',
      'channel-untrusted',
      changed(signed, (bytes) =>
        Buffer.from(
          bytes.toString('latin1').replace(/live|revision>1/g, (word) => `${word}x`),
          'latin1',
        ),
      ),
    );
    await refused('a changed list of packages', 'channel-inconsistent', changed(family.index, flip));
    const half = (path: string, response: ServerResponse): boolean => {
      // New signed index, everything else of the publication before.
      if (signed.test(path) || path.endsWith('repomd.xml.asc')) return false;
      const file = join(oldTree, path);
      if (!existsSync(file)) response.writeHead(404).end();
      else response.writeHead(200).end(readFileSync(file));
      return true;
    };
    await refused(
      'half of a publication',
      family.name === 'apt' ? 'channel-inconsistent' : 'channel-unreachable',
      half,
    );
    await refused('no mirror at all', 'channel-unreachable', (_, response) => response.destroy() !== undefined);
    await refused('a changed package', 'channel-inconsistent', changed(family.package, flip));
    const cut = (path: string, response: ServerResponse): boolean => {
      if (!family.package.test(path)) return false;
      const bytes = readFileSync(join(server.folder, path));
      response.writeHead(200, { 'Content-Length': bytes.length });
      response.write(bytes.subarray(0, bytes.length >> 1), () => response.destroy());
      return true;
    };
    await refused('cut off in the middle', 'channel-unreachable', cut);
    await update(root);
    assert.equal(await stage.version(), '3-1', 'the same publication served well is taken');
    // An old publication, well signed, played again.
    server.folder = oldTree;
    assert.deepEqual(readFileSync(join(oldTree, family.signed)), old);
    if (family.name === 'apt') await update(root);
    else {
      await provokes('channel-replayed', () => update(root));
      // What the message tells to do where that is as it should be.
      rmSync(join(root, 'var/lib/kpatch/channel.json'));
      await update(root);
    }
    assert.equal(await stage.version(), '3-1', 'an old publication takes nothing back');
  });

  test(`${family.name}: a mirror that stands still, a wrong key, an expired key`, async () => {
    await using stage = await scene(family.make);
    const { publisher, server, machine, keyFile } = stage;
    const { root } = machine;
    await follow(root, server.url, keyFile);
    await update(root, [running]);
    const made = async (name: string, signer: string, daysAgo: number): Promise<string> => {
      const work = join(publisher.work, name);
      const other = await Publisher.make(work, signer, {}, new Date(Date.now() - daysAgo * day - 1000));
      await other.add({ version: 9 });
      await other.publish();
      return layout(other.folder).public;
    };
    // Forget what was seen, so that the dates alone decide.
    const forget = (): void => rmSync(join(root, 'var/lib/kpatch/channel.json'), { force: true });
    const refused = async (code: ErrorCode, folder: string): Promise<void> => {
      forget();
      for (const cache of ['var/lib/kpatch/apt', 'var/cache/kpatch'])
        rmSync(join(root, cache), { recursive: true, force: true });
      server.folder = folder;
      await provokes(code, () => update(root));
      assert.equal(await stage.version(), '1-1');
      assert.match((await status(root)).problems.join(), /the last check of the channel failed/);
    };
    await refused('channel-frozen', await made('frozen', key, 20));
    await refused('channel-frozen', await made('tomorrow', key, -1));
    await refused(
      'channel-untrusted',
      await made('foreign', makeKey(`foreign ${family.name} <foreign@example.org>`), 0),
    );
    const yesterday = new Date(Date.now() - day);
    const stamp = (date: Date): string => `${date.toISOString().replace(/[-:]/g, '').slice(0, 15)}`;
    const start = new Date(Date.now() - 10 * day);
    const expiring = makeKey(
      `expiring ${family.name} <expiring@example.org>`,
      stamp(yesterday),
      '--faked-system-time',
      stamp(start),
    );
    process.env.SOURCE_DATE_EPOCH = String(Math.floor((Date.now() - 3 * day) / 1000));
    try {
      // The check before signing looks at the clock of today; this publication is three days old.
      const work = join(publisher.work, 'expired');
      const config = { ...publisher.config, keys: [expiring] };
      const tree = join(work, 'tree');
      spawnSync('mkdir', ['-p', join(tree, 'apt/pool'), join(tree, 'rpm')]);
      const date = new Date(Date.now() - 3 * day);
      const publication = {
        config: config,
        kernels: [],
        date: date,
        validUntil: new Date(Date.now() + day),
      };
      await writeApt(tree, config, publication, join(work, 'cache'));
      await writeDnf(tree, config, publication, undefined);
      await follow(root, server.url, keyFile).catch(() => undefined);
      const exported = spawnSync('gpg', ['--armor', '--export', expiring], { encoding: 'utf8' }).stdout;
      const file = join(work, 'expired.asc');
      writeFileSync(file, exported);
      server.folder = tree;
      for (const cache of ['var/lib/kpatch/apt', 'var/cache/kpatch'])
        rmSync(join(root, cache), { recursive: true, force: true });
      forget();
      await provokes('channel-untrusted', () => follow(root, server.url, file));
      assert.equal(await stage.version(), '1-1');
    } finally {
      delete process.env.SOURCE_DATE_EPOCH;
    }
  });

  test(`${family.name}: a key rotated properly is learned on the way`, async () => {
    await using stage = await scene(family.make);
    const { publisher, server, machine, keyFile } = stage;
    const { root } = machine;
    await follow(root, server.url, keyFile);
    await auto(root);
    const next = makeKey(`next ${family.name} <next@example.org>`);
    writeConfig(publisher.folder, await addKey(publisher.config, next));
    await publisher.add({ version: 2 });
    await publisher.publish();
    await update(root);
    assert.equal(await stage.version(), '2-1');
    writeConfig(publisher.folder, await retireKey(publisher.folder, publisher.config, key));
    await publisher.add({ version: 3 });
    await publisher.publish();
    await update(root);
    assert.equal(await stage.version(), '3-1', 'signed by the new key alone');
  });
}

test('dnf: updateinfo answers which CVEs an upgrade fixes', async () => {
  await using stage = await scene(rhelMachine);
  const { publisher, server, machine, keyFile } = stage;
  await follow(machine.root, server.url, keyFile);
  await update(machine.root, [running]);
  await publisher.add({ version: 2, cves: ['CVE-2026-1001', 'CVE-2026-1002'] });
  await publisher.publish();
  const options = [
    '-y',
    '--installroot',
    machine.root,
    '--disableplugin=*',
    '--setopt',
    `reposdir=${machine.root}/etc/yum.repos.d`,
    '--setopt',
    `kpatch-channel.gpgkey=file://${machine.root}/etc/pki/rpm-gpg/RPM-GPG-KEY-kpatch-channel`,
  ];
  const said = await run('dnf', [...options, '--refresh', 'updateinfo', 'list', 'cves']);
  assert.match(said.stdout.toString(), /CVE-2026-1002 .*kpatch-patch-6_1_0-56-amd64-2-1\.x86_64/, said.stderr);
});

test('what is not there or not understood is named', async () => {
  using folder = temporaryFolder('kpatch-test-');
  await provokes('channel-not-followed', () => needSettings(folder.path));
  await provokes('channel-no-manager', () => managerOf(folder.path));
  const machine = debianMachine(folder.path);
  const empty = join(folder.path, 'empty.asc');
  writeFileSync(empty, 'no key');
  await provokes('channel-key-file', () => follow(machine.root, 'http://127.0.0.1:9', empty));
  await provokes('channel-url', () => follow(machine.root, 'ftp://example.org', empty));
  writeSettings(machine.root, { url: 'http://127.0.0.1:9', mode: 'sometimes' });
  await provokes('channel-settings', () => readSettings(machine.root));
  const conf = join(machine.root, 'etc/kpatch/channel.conf');
  writeFileSync(conf, Buffer.from('# gepr\u00fcft\nurl=http://127.0.0.1:9\n', 'latin1'));
  writeSettings(machine.root, { mode: 'manual', on_remove: 'unload' });
  assert.deepEqual(readSettings(machine.root), { mode: 'manual', url: 'http://127.0.0.1:9', source: 'packages' });
  const kept = '# gepr\u00fcft\nurl=http://127.0.0.1:9\nmode=manual\non_remove=unload\n';
  assert.equal(readFileSync(conf, 'latin1'), kept, 'what others wrote there stays as it is');
  await provokes('channel-install', () => managerOf(machine.root).install(['no-such-package']));
  assert.equal(refusal('u', '').code, 'channel-unreachable');
});

test('the commands of a machine: status in words, exit status for monitoring', async () => {
  await using stage = await scene(debianMachine);
  const { server, machine, keyFile } = stage;
  const kpatch = async (...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> => {
    const result = await run('bin/kpatch', [...args, '--root', machine.root]);
    return { status: result.status, stdout: result.stdout.toString(), stderr: result.stderr };
  };
  assert.equal((await kpatch('channel', 'status')).status, 3);
  assert.equal((await kpatch('channel', 'follow', server.url, '--packages', '--key', keyFile)).status, 0);
  assert.equal((await kpatch('channel', 'status')).status, 1);
  const subscribed = await kpatch('auto');
  assert.match(subscribed.stdout, /kpatch-patch-6\.1\.0-56-amd64: installed 1-1/);
  const said = await kpatch('channel', 'status');
  assert.equal(said.status, 0, said.stdout);
  assert.match(
    said.stdout,
    /6\.1\.0-56-amd64: patch 1-1\n {6}live patches until \d{4}-\d\d-\d\d; reboot into 6\.1\.0-57-amd64 by then/,
  );
});

test('metrics and status of a machine that follows: until when, and whether the channel answers', async () => {
  await using stage = await scene(debianMachine);
  const { server, machine, keyFile } = stage;
  const { root } = machine;
  assert.equal(channelMetricsText(running, root), '');
  await follow(root, server.url, keyFile);
  await update(root, [running]);
  const text = channelMetricsText(running, root);
  assert.match(text, /^kpatch_support_days_left\{release="6\.1\.0-56-amd64"\} 1\d\d$/m);
  assert.match(text, /^kpatch_channel_failed 0$/m);
  server.intercept = (_, response) => response.destroy() !== undefined;
  await provokes('channel-unreachable', () => update(root));
  assert.match(channelMetricsText(running, root), /^kpatch_channel_failed 1$/m);
  const ended = channelMetricsText(running, root, new Date(Date.now() + 200 * day));
  assert.match(ended, /^kpatch_support_days_left\{.*\} -\d+$/m);
});

test('a key file: either form, the fingerprint gpg gives; secret, damaged and other files are refused', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const gpg = (...args: string[]): Buffer => spawnSync('gpg', ['--batch', ...args]).stdout;
  const file = (name: string, content: Uint8Array | string): string => {
    writeFileSync(join(folder.path, name), content);
    return join(folder.path, name);
  };
  const other = makeKey('other <other@example.org>');
  const binary = gpg('--export', key, other);
  const keys = readPublicKeys(file('ring.gpg', binary));
  assert.deepEqual([...keys.fingerprints].sort(), [key, other].sort());
  const armored = readPublicKeys(file('ring.asc', gpg('--armor', '--export', key, other)));
  assert.deepEqual(Buffer.from(armored.binary), binary);
  const again = spawnSync('gpg', ['--batch', '--dearmor'], { input: keys.armored }).stdout;
  assert.deepEqual(again, binary, 'our armor is what gpg reads');
  for (const bad of [
    '',
    'x',
    gpg('--export-secret-keys', key),
    binary.subarray(0, 100),
    Buffer.from([0x99, 0xff]),
    Buffer.from([0xc6, 0xff, 0xff]),
  ]) {
    await provokes('channel-key-file', () => readPublicKeys(file('bad', bad)));
  }
});

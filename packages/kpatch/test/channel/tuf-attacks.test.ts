/**
 * The attacks that the TUF specification lists (section 1.5.2), except those of tuf-rollback-attacks.test.ts, and those on kpatch's own part: what a mirror, the network,
 * or the owner of a leaked key can try. Each time the machine keeps what it had.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { sha256 } from '#kpatch/base/digest.ts';
import type { KpatchError } from '#kpatch/base/errors/error.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { status, update } from '#kpatch/channel/follow/follow.ts';
import { writeSettings } from '#kpatch/channel/follow/settings.ts';
import { fetchChannel } from '#kpatch/channel/follow/tuf/fetch.ts';
import { followTuf } from '#kpatch/channel/follow/tuf/follow.ts';
import { refresh } from '#kpatch/channel/follow/tuf/refresh.ts';
import { folderSource, sourceAt } from '#kpatch/channel/follow/tuf/source.ts';
import { stateFolder } from '#kpatch/channel/follow/tuf/state.ts';
import { readPolicyState } from '#kpatch/host/acceptance/policy.ts';
import { thisMachine } from '#kpatch/host/machine/machine.ts';
import { uninstallPatch } from '#kpatch/host/store/install.ts';
import { keyId } from '#kpatch/module/public-key.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';
import { moduleName, writeModule } from './module-file.ts';
import { running } from './publisher.ts';
import { serve } from './server.ts';
import { resign, TufChannel, urlOf } from './tuf-channel.ts';
import { newest, patches, relist, scene } from './tuf-scene.ts';

function moduleFile(tree: string): string {
  const folder = join(tree, 'tuf/targets', running);
  return join(
    folder,
    readdirSync(folder)
      .filter((name) => name.endsWith('.ko'))
      .at(-1)!,
  );
}

attack(
  { area: 'tuf', attacker: 'mirror', how: 'arbitrary software: other bytes in the place of a module' },
  async () => {
    using given = await scene();
    const added = given.channel.add({ version: 2 });
    const evil = given.channel.copy(await given.channel.publish());
    const folder = join(evil, 'tuf/targets', running);
    const file = join(folder, `${added.record.module!.sha256}.${added.record.module!.name}.ko`);
    const bytes = readFileSync(file);
    bytes[bytes.length - 1] = bytes.at(-1)! ^ 1;
    rmSync(file);
    writeFileSync(file, bytes);
    writeSettings(given.root, { url: urlOf(evil) });
    const { waiting, changes } = await update(given.root);
    assert.deepEqual([changes, patches(given.root)], [[], [moduleName(running, 1)]]);
    assert.match(waiting.join(), /is not the one the channel lists: its SHA-256 differs/);
    return waiting.join();
  },
);

attack(
  { area: 'tuf', attacker: 'mirror', how: 'arbitrary software: targets metadata of the attacker, without the key' },
  async () => {
    using given = await scene();
    const evil = await given.second();
    await resign(newest(evil, 'targets'), 'targets', (signed) =>
      Object.assign(signed, { expires: '2037-01-01T00:00:00Z' }),
    );
    return await given.refuses('tuf-inconsistent', evil);
  },
);

attack(
  {
    area: 'tuf',
    attacker: 'channel key',
    how: 'key compromise: the keys of snapshot and timestamp alone list other targets',
  },
  async () => {
    using given = await scene();
    const evil = await given.second();
    await resign(newest(evil, 'targets'), 'targets', (signed) =>
      Object.assign(signed, { expires: '2037-01-01T00:00:00Z' }),
    );
    await relist(evil, given.channel);
    return await given.refuses('tuf-signature', evil);
  },
);

attack(
  { area: 'tuf', attacker: 'channel key', how: 'key compromise: a leaked targets key after one update of the root' },
  async () => {
    using given = await scene();
    const { channel } = given;
    await given.rotate('targets');
    await given.follow();
    // The thief has the old key of targets and even those of snapshot and timestamp.
    const evil = await given.second();
    await resign(newest(evil, 'targets'), 'targets', () => {}, [channel.key('targets')]);
    await relist(evil, channel);
    return await given.refuses('tuf-signature', evil);
  },
);

attack(
  {
    area: 'tuf',
    attacker: 'channel key',
    how: 'key compromise: the root that revokes a key arrives with metadata that fails',
  },
  async () => {
    using given = await scene();
    const { channel } = given;
    await given.rotate('targets');
    const evil = await given.second();
    rmSync(newest(evil, 'timestamp'));
    await given.refuses('channel-unreachable', evil);
    // The machine has the new root all the same, so a mirror of the old state is refused from now on.
    const old = channel.copy();
    await resign(newest(old, 'targets'), 'targets', () => {}, [channel.key('targets')]);
    await relist(old, channel);
    rmSync(join(old, 'tuf/2.root.json'));
    return await given.refuses('tuf-signature', old);
  },
);

attack({ area: 'tuf', attacker: 'network', how: 'endless data in the place of metadata' }, async () => {
  using given = await scene();
  await using server = await serve(given.channel.tree);
  server.intercept = (path, response) => path.endsWith('timestamp.json') && endless(response);
  return await provokes('tuf-too-large', () => refresh(stateFolder(given.root), sourceAt(server.url)));
});

attack({ area: 'tuf', attacker: 'mirror', how: 'endless data in the place of a module' }, async () => {
  using given = await scene();
  given.channel.add({ version: 2 });
  await using server = await serve(await given.channel.publish());
  server.intercept = (path, response) => path.endsWith('.ko') && endless(response);
  const to = join(given.folder, 'fetched');
  return await provokes('tuf-too-large', () =>
    fetchChannel(stateFolder(given.root), sourceAt(server.url), [running], to),
  );
});

function endless(response: ServerResponse): true {
  response.writeHead(200);
  const piece = Buffer.alloc(65_536, 0x20);
  const more = (): void => {
    if (!response.destroyed && response.write(piece)) setImmediate(more);
    else if (!response.destroyed) response.once('drain', more);
  };
  more();
  return true;
}

test('a connection that the server has closed meanwhile is opened again, once', async () => {
  using given = await scene();
  await using server = await serve(given.channel.tree);
  let closed = 0;
  server.intercept = (path, response) => {
    if (!path.endsWith('timestamp.json') || closed++ > 0) return false;
    response.destroy();
    return true;
  };
  await refresh(stateFolder(given.root), sourceAt(server.url));
  assert.equal(closed, 2);
  server.intercept = (_, response) => {
    closed++;
    response.destroy();
    return true;
  };
  await provokes('channel-unreachable', () => refresh(stateFolder(given.root), sourceAt(server.url)));
  assert.equal(closed, 4);
});

attack({ area: 'tuf', attacker: 'network', how: 'slow retrieval: a byte now and then' }, async () => {
  using given = await scene();
  await using server = await serve(given.channel.tree);
  server.intercept = (path, response) => {
    if (!path.endsWith('timestamp.json')) return false;
    response.writeHead(200);
    const timer = setInterval(() => response.write(' '), 50);
    response.on('close', () => clearInterval(timer));
    return true;
  };
  const error = await provokes('channel-unreachable', () =>
    refresh(stateFolder(given.root), sourceAt(server.url, 400)),
  );
  assert.match(error.message, /takes too long/);
  return error;
});

attack(
  { area: 'tuf', attacker: 'channel key', how: 'wrong threshold: a root that one of three root keys signed' },
  async () => {
    using given = await scene();
    const { channel } = given;
    channel.newKey('thief');
    await channel.root({ root: ['thief'], targets: ['thief'] }, { threshold: 1 }, ['thief', 'root1']);
    const evil = channel.copy(await channel.publish());
    copyFileSync(join(channel.folder, 'tuf/next.root.json'), join(evil, 'tuf/2.root.json'));
    return await given.refuses('tuf-signature', evil);
  },
);

attack({ area: 'tuf', attacker: 'channel key', how: 'wrong threshold: one root key under two names' }, async () => {
  using given = await scene();
  const evil = given.channel.copy(await given.channel.publish());
  const document = JSON.parse(readFileSync(join(evil, 'tuf/1.root.json'), 'utf8')) as {
    signed: { version: number; keys: Record<string, unknown>; roles: { root: { keyids: string[] } } };
    signatures: { keyid: string; sig: string }[];
  };
  const [first = ''] = document.signed.roles.root.keyids;
  const twin = 'f'.repeat(64);
  document.signed.version = 2;
  document.signed.keys[twin] = document.signed.keys[first];
  document.signed.roles.root.keyids = [first, twin];
  writeFileSync(join(evil, 'tuf/2.root.json'), JSON.stringify(document));
  return await given.refuses('tuf-malformed', evil);
});

attack(
  { area: 'tuf', attacker: 'mirror', how: 'wrong channel: another channel of the same publisher, with the same keys' },
  async () => {
    using given = await scene();
    const other = await TufChannel.make(given.folder, 'testing', given.channel);
    other.add({ version: 7 });
    for (let times = 0; times < 3; times++) await other.publish();
    return await given.refuses('tuf-wrong-channel', other.tree);
  },
);

attack(
  { area: 'tuf', attacker: 'channel key', how: 'wrong software: a module for another kernel, listed for this one' },
  async () => {
    using given = await scene();
    const { channel } = given;
    const patch = channel.add({ version: 2 });
    const other = writeModule(channel.work, { version: 2, name: moduleName(running, 2), release: '9.9.9-other' });
    const digest = sha256(readFileSync(other));
    copyFileSync(other, join(channel.folder, 'pool/module', `${digest}.ko`));
    const { module } = patch.record;
    channel.kernels.set(running, [{ ...patch, record: { ...patch.record, module: { ...module!, sha256: digest } } }]);
    const { waiting } = await given.follow();
    assert.deepEqual(patches(given.root), [moduleName(running, 1)]);
    assert.match(waiting.join(), /the module is for 9\.9\.9-other/);
    return waiting.join();
  },
);

const malformed: Readonly<Record<string, (signed: Record<string, unknown>) => void>> = {
  'a target outside of its folder': (signed) =>
    Object.assign(signed, { targets: { '../../etc/cron.d/x': Object.values(signed.targets as object)[0] } }),
  'extraneous dependencies: a delegation to a role of the attacker': (signed) =>
    Object.assign(signed, { delegations: { keys: {}, roles: [] } }),
  'a target of a terabyte': (signed) =>
    Object.assign(signed, { targets: { x: { length: 2 ** 40, hashes: { sha256: '0'.repeat(64) } } } }),
  'a target without SHA-256': (signed) =>
    Object.assign(signed, { targets: { x: { length: 1, hashes: { md5: 'x' } } } }),
  'an expiry that is no time': (signed) => Object.assign(signed, { expires: 'never' }),
  'more targets than the reader can take': (signed) =>
    Object.assign(signed, {
      targets: Object.fromEntries(
        Array.from({ length: 1501 }, (_, n) => [`t${n}`, { length: 1, hashes: { sha256: '0'.repeat(64) } }]),
      ),
    }),
};

for (const [what, change] of Object.entries(malformed)) {
  attack({ area: 'tuf', attacker: 'channel key', how: `malformed targets: ${what}` }, async () => {
    using given = await scene();
    const { channel } = given;
    const evil = await given.second();
    await resign(newest(evil, 'targets'), 'targets', change);
    await relist(evil, channel);
    return await given.refuses('tuf-malformed', evil);
  });
}

attack(
  { area: 'tuf', attacker: 'network', how: 'malformed metadata: members twice, not JSON, another role' },
  async () => {
    using given = await scene();
    const versions = [1.5, 0, 2 ** 40, '1'].map((version) =>
      JSON.stringify({ signed: { _type: 'timestamp', version } }),
    );
    const texts = [
      ...versions,
      '{"signed":{"_type":"timestamp","_type":"timestamp"}}',
      '<html>',
      '{"signed":{"_type":"root"}}',
      '[]',
      '',
    ];
    let last: KpatchError | undefined;
    for (const text of texts) {
      const evil = given.channel.copy();
      writeFileSync(newest(evil, 'timestamp'), text);
      last = await given.refuses('tuf-malformed', evil);
    }
    return last!;
  },
);

attack(
  {
    area: 'tuf',
    attacker: 'local user',
    how: 'the folder that hands over what was fetched holds other bytes, a link, a pipe',
  },
  async () => {
    using given = await scene();
    const { channel, root } = given;
    channel.add({ version: 2 });
    await channel.publish();
    const to = join(given.folder, 'fetched');
    await fetchChannel(stateFolder(root), folderSource(channel.tree), [running], to);
    const file = moduleFile(to);
    const good = readFileSync(file);
    const said: string[] = [];
    for (const change of [
      () => writeFileSync(file, Buffer.alloc(good.length)),
      () => symlinkSync('/etc/shadow', file),
      () => execFileSync('mkfifo', [file]),
    ]) {
      rmSync(file);
      change();
      const { waiting } = await update(root, [], false, silentReporter(), { fetched: to });
      assert.deepEqual(patches(root), [moduleName(running, 1)]);
      assert.doesNotMatch(waiting.join(), /root:/);
      said.push(waiting.join());
    }
    assert.match(said[0]!, /its SHA-256 differs/);
    assert.match(said[2]!, /not a regular file/);
    return said[0]!;
  },
);

attack(
  {
    area: 'tuf',
    attacker: 'channel key',
    how: 'a module that was delivered with a leaked key stays unnoticed after the rotation',
  },
  async () => {
    using given = await scene();
    const { channel, root } = given;
    const first = channel.kernels.get(running)!;
    channel.add({ version: 2, cves: ['CVE-2026-6666'] });
    await given.follow();
    assert.deepEqual(patches(root), [moduleName(running, 2)]);
    // The owner finds out, takes the module back and rotates the key.
    channel.kernels.set(running, first);
    await given.rotate('targets');
    await given.follow();
    const problem = (await status(root)).problems.find((one) => one.includes('does not list it any more'));
    assert.notEqual(problem, undefined);
    return problem!;
  },
);

attack(
  { area: 'tuf', attacker: 'channel key', how: 'an update puts back what the administrator took out' },
  async () => {
    using given = await scene();
    const machine = thisMachine(given.root);
    await uninstallPatch(machine, moduleName(running, 1), { release: running, unattended: false }, silentReporter());
    given.channel.add({ version: 2 });
    const { waiting } = await given.follow();
    assert.deepEqual(patches(given.root), []);
    assert.match(waiting.join(), /uninstalled/);
    return waiting.join();
  },
);

attack(
  { area: 'tuf', attacker: 'channel key', how: 'a module without the proof that the host policy demands' },
  async () => {
    using given = await scene();
    const { root, channel } = given;
    const { publicKey } = generateKeyPairSync('ed25519');
    writeFileSync(join(root, 'etc/kpatch/proofs.pub'), publicKey.export({ type: 'spki', format: 'pem' }));
    const policy = { schema: 'kpatch.host-policy/1', proof: { required: true, keys: ['proofs.pub'] } };
    writeFileSync(join(root, 'etc/kpatch/host-policy.json'), JSON.stringify(policy));
    channel.add({ version: 2 });
    const { waiting } = await given.follow();
    assert.deepEqual(patches(root), [moduleName(running, 1)]);
    assert.match(waiting.join(), /policy/);
    return waiting.join();
  },
);

attack({ area: 'tuf', attacker: 'channel key', how: 'a proof key that the root revoked' }, async () => {
  using given = await scene();
  const { root, channel } = given;
  const { publicKey } = generateKeyPairSync('ed25519');
  const file = join(given.folder, 'leaked.pub');
  writeFileSync(file, publicKey.export({ type: 'spki', format: 'pem' }));
  await channel.root({}, { revoke: [{ file, reason: 'leaked' }] });
  await given.follow();
  const { revoked } = readPolicyState(thisMachine(root));
  assert.deepEqual(revoked, [{ key: keyId(publicKey), reason: 'leaked' }]);
  return `key-revoked: the host policy's list of revoked keys has it (${existsSync(join(stateFolder(root), 'revoked-keys.json'))})`;
});

attack({ area: 'tuf', attacker: 'mirror', how: 'a first root that its own keys did not sign' }, async () => {
  using given = await scene();
  const file = join(given.folder, 'root.json');
  const document = JSON.parse(readFileSync(given.channel.rootFile, 'utf8')) as { signatures: unknown[] };
  document.signatures.pop();
  writeFileSync(file, JSON.stringify(document));
  const error = await provokes('tuf-root-file', () => followTuf(given.root, urlOf(given.channel.tree), file));
  return error;
});

/** The agent against a server with TLS: joining, reports, an unreachable server, expired certificates, leaving, a choice. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { run, temporaryFolder } from 'kpatch/parts';
import { commandLine } from '#fleet/access/audit.ts';
import { createToken } from '#fleet/access/tokens.ts';
import { defaultConfig } from '#fleet/config.ts';
import { openFleet } from '#fleet/server/fleet.ts';
import { makeCertificate } from '#fleet/simulate/certificate.ts';
import { openDatabase } from '#fleet/store/database.ts';
import { followTuf } from '../../kpatch/channel/follow/tuf/follow.ts';
import { fleetChoice } from '../../kpatch/fleet/choice.ts';
import { joinFleet, leaveFleet } from '../../kpatch/fleet/join.ts';
import { OUTBOX_LIMIT, putReport, waiting } from '../../kpatch/fleet/outbox.ts';
import { membershipOf, placeIn, readChain } from '../../kpatch/fleet/place.ts';
import { collect, readHostKey, send, settle } from '../../kpatch/fleet/report.ts';
import { type Machine, thisMachine } from '../../kpatch/host/machine/machine.ts';
import { installedPatches } from '../../kpatch/host/store/store.ts';
import { TufChannel, urlOf } from '../../kpatch/test/channel/tuf-channel.ts';
import { provokes } from '../../kpatch/test/provoke.ts';
import { giveDatabase } from './empty-database.ts';

const folder = temporaryFolder('kpatch-fleet-');
await giveDatabase(join(folder.path, 'home'));
const database = await openDatabase(join(folder.path, 'home'), undefined);
const valid = makeCertificate(join(folder.path, 'tls'));
after(async () => {
  await database.close();
  folder[Symbol.dispose]();
});

async function serve(tls = valid, port = 0) {
  const config = defaultConfig(folder.path, { tls: { certificate: tls.certificate, key: tls.key } });
  const fleet = await openFleet(database, config);
  const url = await fleet.server.listen({ host: '127.0.0.1', port });
  return { ...fleet, url, port: Number(new URL(url).port), [Symbol.asyncDispose]: fleet[Symbol.asyncDispose] };
}

const token = async (): Promise<string> =>
  (await createToken(database, commandLine, { note: '', labels: ['ring=1'], uses: 1, hours: 1 })).token;

/** The image of a machine. */
function image(name: string): { root: string; machine: Machine } {
  const root = join(folder.path, name);
  mkdirSync(join(root, 'etc'), { recursive: true });
  mkdirSync(join(root, 'proc'), { recursive: true });
  writeFileSync(join(root, 'etc/machine-id'), `${name}\n`);
  writeFileSync(join(root, 'etc/hostname'), `${name}\n`);
  writeFileSync(join(root, 'proc/modules'), 'ext4 1 0 - Live 0x0\nvirtio 1 0 - Live 0x0\n');
  return { root, machine: thisMachine(root) };
}

/** Every file below a folder. */
const files = (root: string): string[] =>
  (readdirSync(root, { recursive: true, withFileTypes: true }) as { name: string; parentPath: string }[])
    .map(({ name, parentPath }) => join(parentPath, name).slice(root.length))
    .sort();

test('a machine joins, reports, hears an answer, and leaves nothing behind', async () => {
  await using fleet = await serve();
  const { root, machine } = image('first');
  const before = files(root);
  await provokes('fleet-not-joined', () => collect(machine, placeIn(root)));
  const { authorities } = valid;
  const secret = await token();
  const joined = await joinFleet(machine, { url: fleet.url, token: secret, authorities, root });
  assert.deepEqual(joined.labels, ['ring=1']);
  await provokes('fleet-joined-already', () =>
    joinFleet(machine, { url: fleet.url, token: secret, authorities, root }),
  );
  const place = placeIn(root);
  assert.equal(statSync(place.key).mode & 0o777, 0o600);
  const { report, bytes } = collect(machine, place);
  assert.deepEqual(report.modules.names, ['ext4', 'virtio']);
  assert.ok(bytes < 2000, `${bytes} bytes`);
  assert.deepEqual(settle(place), { standing: undefined, chosen: false });
  assert.deepEqual([(await send(place)).sent, waiting(place)], [1, [1]]);
  assert.equal(settle(place).standing, 'normal');
  assert.deepEqual(waiting(place), []);
  assert.equal(collect(machine, place).report.modules.names, undefined, 'the server knows the list');
  assert.equal((await send(place)).sent, 1);
  assert.equal((await send(place)).sent, 0, 'nothing is sent twice');
  assert.equal((await leaveFleet(machine, root)).told, true);
  assert.deepEqual(
    files(root)
      .filter((name) => !before.includes(name))
      .filter((name) => /kpatch/.test(name)),
    [],
  );
  await provokes('fleet-not-joined', () => leaveFleet(machine, root));
});

test('an unreachable server: reports wait, the oldest go first, and all that wait are sent later in their order', async () => {
  const { root, machine } = image('waiting');
  const place = placeIn(root);
  const stopped = await serve();
  await joinFleet(machine, { url: stopped.url, token: await token(), authorities: valid.authorities, root });
  await stopped[Symbol.asyncDispose]();
  for (let count = 0; count < 3; count++) collect(machine, place);
  const error = await provokes('fleet-unreachable', () => send(place));
  assert.match(error.message, /nothing listens there/);
  await using fleet = await serve(valid, stopped.port);
  assert.equal((await send(place)).sent, 3);
  settle(place);
  assert.deepEqual(waiting(place), []);
  const [row] = await database.query('select reports, counter from fleet.checkin where host = $1', [
    membershipOf(place)!.host,
  ]);
  assert.deepEqual(row, { reports: 3, counter: 3 });
  for (let counter = 4; counter < OUTBOX_LIMIT + 14; counter++) putReport(place, counter, '{}');
  assert.equal(waiting(place).length, OUTBOX_LIMIT);
  assert.equal(waiting(place)[0], 14);
  assert.ok(fleet.hosts.size > 0);
});

test('attack on fleet: a server with an expired certificate, of another authority, or for another name hears nothing', async () => {
  const { root, machine } = image('pinned');
  const place = placeIn(root);
  const first = await serve();
  await joinFleet(machine, { url: first.url, token: await token(), authorities: valid.authorities, root });
  await first[Symbol.asyncDispose]();
  const foreign = makeCertificate(join(folder.path, 'foreign'));
  const named = makeCertificate(join(folder.path, 'named'), 30, 'DNS:elsewhere.example.org');
  const expired = makeCertificate(join(folder.path, 'expired'), -1);
  const cases = [
    [foreign, valid.authorities, /not one that this machine trusts/],
    [named, named.authorities, /for another name/],
    [expired, expired.authorities, /has expired/],
  ] as const;
  collect(machine, place);
  for (const [tls, authorities, problem] of cases) {
    await using _fleet = await serve(tls, first.port);
    writeFileSync(place.authorities, authorities);
    assert.match((await provokes('fleet-unreachable', () => send(place))).message, problem);
    assert.deepEqual(waiting(place), [1]);
  }
  for (const url of ['http://fleet.example.org', 'ftp://x', 'https://a b']) {
    const other = image(`url ${url.length}`);
    await provokes('fleet-url', () =>
      joinFleet(other.machine, { url, token: 'x'.repeat(30), authorities: undefined, root: other.root }),
    );
  }
});

test('attack on fleet: the disk of a machine is copied; the copy and the original both notice', async () => {
  await using fleet = await serve();
  const { root, machine } = image('original');
  await joinFleet(machine, { url: fleet.url, token: await token(), authorities: valid.authorities, root });
  const place = placeIn(root);
  collect(machine, place);
  await send(place);
  settle(place);
  const copy = image('copy');
  for (const file of ['membership.json', 'host.key', 'authorities.pem']) {
    mkdirSync(placeIn(copy.root).settings, { recursive: true });
    writeFileSync(join(placeIn(copy.root).settings, file), readFileSync(join(place.settings, file)));
  }
  mkdirSync(placeIn(copy.root).state, { recursive: true });
  writeFileSync(placeIn(copy.root).chain, readFileSync(place.chain));
  collect(machine, place);
  await send(place);
  collect(copy.machine, placeIn(copy.root));
  assert.equal((await send(placeIn(copy.root))).answer?.standing, 'cloned');
  assert.equal(settle(placeIn(copy.root)).standing, 'cloned');
  collect(machine, place);
  assert.equal((await send(place)).answer?.standing, 'cloned');
});

test('what the server chose is remembered for updates, and a damaged answer or state changes nothing', async () => {
  await using fleet = await serve();
  const { root, machine } = image('choice');
  assert.equal(fleetChoice(placeIn(root)), undefined, 'outside of a fleet the newest patch is wanted');
  await joinFleet(machine, { url: fleet.url, token: await token(), authorities: valid.authorities, root });
  const place = placeIn(root);
  const chosen = { release: '6.1.0-47-amd64', sha256: 'a'.repeat(64), rollout: 1 };
  fleet.ingest.decider = { choicesFor: () => [chosen], labelFor: () => '' };
  collect(machine, place);
  await send(place);
  assert.deepEqual(settle(place), { standing: 'normal', chosen: true });
  assert.equal(settle(place).chosen, false);
  const choose = fleetChoice(place)!;
  assert.deepEqual([choose('6.1.0-47-amd64'), choose('6.12.1')], [chosen.sha256, undefined]);
  for (const text of ['', '{', '[]', '{"schema":"kpatch.fleet-answer/1"}', 'x'.repeat(100_000)]) {
    writeFileSync(place.answer, text);
    assert.equal(settle(place).standing, undefined);
    assert.deepEqual(readChain(place).choices, [chosen]);
  }
  writeFileSync(place.key, 'no key');
  await provokes('fleet-state', () => readHostKey(place));
  writeFileSync(place.membership, '{}');
  await provokes('fleet-state', () => collect(machine, place));
});

test('a machine of a fleet that follows a channel takes what the server chose, also when it subscribes', async () => {
  await using fleet = await serve();
  const { root, machine } = image('follower');
  const release = '6.1.0-56-amd64';
  mkdirSync(join(root, 'boot'));
  writeFileSync(join(root, 'boot', `vmlinuz-${release}`), '');
  const channel = await TufChannel.make(folder.path);
  const [one] = [channel.add({ release, version: 1 }), channel.add({ release, version: 2 })];
  await channel.publish();
  await joinFleet(machine, { url: fleet.url, token: await token(), authorities: valid.authorities, root });
  await followTuf(root, urlOf(channel.tree), channel.rootFile);
  const kpatch = async (...args: string[]): Promise<string> =>
    (await run(join(import.meta.dirname, '../../../bin/kpatch'), [...args, '--root', root])).stdout.toString();
  assert.match(await kpatch('auto'), /everything is up to date/);
  assert.deepEqual(installedPatches(machine, release), [], 'the server has not chosen anything');
  const chosen = { release, sha256: one!.record.module!.sha256, rollout: 1 };
  fleet.ingest.decider = { choicesFor: () => [chosen], labelFor: () => '' };
  collect(machine, placeIn(root));
  await send(placeIn(root));
  settle(placeIn(root));
  assert.match(await kpatch('auto'), /installed 1-1/);
  assert.deepEqual(
    installedPatches(machine, release).map(({ sha256 }) => sha256),
    [chosen.sha256],
  );
});

test('a token that the server does not take, and one that is none', async () => {
  await using fleet = await serve();
  const { root, machine } = image('refused');
  const options = { url: fleet.url, authorities: valid.authorities, root };
  await provokes('fleet-token', () => joinFleet(machine, { ...options, token: 'a b' }));
  const error = await provokes('fleet-refused', () =>
    joinFleet(machine, { ...options, token: `kpf_${'x'.repeat(32)}` }),
  );
  assert.match(error.message, /used up/);
  assert.deepEqual(
    files(root).filter((name) => /kpatch/.test(name)),
    [],
    'nothing was written',
  );
});

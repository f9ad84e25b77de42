/** Following a channel by TUF, from the first root to updates, rotations and expiry. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { auto, status, update } from '#kpatch/channel/follow/follow.ts';
import { readSettings, writeSettings } from '#kpatch/channel/follow/settings.ts';
import { supportOf } from '#kpatch/channel/follow/support.ts';
import { applyChannel } from '#kpatch/channel/follow/tuf/apply.ts';
import { fetchChannel } from '#kpatch/channel/follow/tuf/fetch.ts';
import { followTuf } from '#kpatch/channel/follow/tuf/follow.ts';
import { folderSource, sourceAt } from '#kpatch/channel/follow/tuf/source.ts';
import { copyState, startState, stateFolder } from '#kpatch/channel/follow/tuf/state.ts';
import { tufProblems } from '#kpatch/channel/repository/tuf/check.ts';
import { thisMachine } from '#kpatch/host/machine/machine.ts';
import { installedPatches } from '#kpatch/host/store/store.ts';
import { FakeMachine } from '../host/fake.ts';
import { provokes } from '../provoke.ts';
import { moduleName } from './module-file.ts';
import { newer, running } from './publisher.ts';
import { serve } from './server.ts';
import { TufChannel, urlOf } from './tuf-channel.ts';

/** An image with a kernel and nothing else: no package manager. */
function image(folder: string, ...kernels: string[]): string {
  const root = join(folder, 'image');
  for (const path of ['boot', 'etc', 'var/lib']) mkdirSync(join(root, path), { recursive: true });
  for (const release of kernels) writeFileSync(join(root, 'boot', `vmlinuz-${release}`), '');
  return root;
}

const installed = (root: string, release = running): string[] =>
  installedPatches(thisMachine(root), release).map(({ name }) => name);

test('an image without a package manager follows: patches of all its kernels are installed, updated, shown', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const channel = await TufChannel.make(folder.path);
  channel.kernels.set(newer, []);
  channel.add({ version: 1 });
  await channel.publish();
  await using server = await serve(channel.tree);
  const root = image(folder.path, running, newer, '9.9.9-other');
  const trusted = await followTuf(root, `${server.url}/`, channel.rootFile);
  assert.deepEqual([trusted.channel, trusted.threshold, trusted.keys.length], ['test', 2, 3]);
  assert.deepEqual(readSettings(root), { mode: 'manual', url: server.url, source: 'tuf' });
  const first = await auto(root);
  assert.deepEqual(first, {
    changes: [{ package: running, from: '', to: '1-1' }],
    unknown: ['9.9.9-other'],
    waiting: [],
  });
  assert.deepEqual(installed(root), [moduleName(running, 1)]);
  channel.add({ version: 2, cves: ['CVE-2026-1001', 'CVE-2026-1002'] });
  server.folder = await channel.publish();
  const dry = await update(root, [], true);
  assert.deepEqual(dry.changes, [{ package: running, from: '1-1', to: '2-1' }]);
  assert.deepEqual(installed(root), [moduleName(running, 1)], 'a dry run changes nothing');
  assert.deepEqual((await update(root)).changes, [{ package: running, from: '1-1', to: '2-1' }]);
  assert.deepEqual(installed(root), [moduleName(running, 2)]);
  assert.deepEqual((await update(root)).changes, []);
  const now = await status(root);
  assert.deepEqual([now.manager, now.mode, now.timer, now.problems], ['tuf', 'auto', true, []]);
  assert.equal(now.published, channel.now.toISOString());
  assert.equal(supportOf(running, root)?.channel, 'test');
  assert.equal(JSON.parse(readFileSync(join(stateFolder(root), 'records', `${running}.json`), 'utf8')).version, 2);
  const early = await status(root, new Date(Date.now() - 86_400_000));
  assert.match(early.problems.join(), /the clock is wrong: it is at least/);
  const late = await status(root, new Date(Date.now() + 20 * 86_400_000));
  assert.match(late.problems.join(), /expired on .*nothing new is accepted; installed patches stay/);
});

test('in mode manual only kernels that were asked for are subscribed, for good', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const channel = await TufChannel.make(folder.path);
  channel.add({ version: 1 });
  channel.add({ version: 1, release: newer });
  await channel.publish();
  const root = image(folder.path, running, newer);
  await followTuf(root, urlOf(channel.tree), channel.rootFile);
  assert.deepEqual((await update(root)).changes, []);
  await update(root, [newer]);
  assert.deepEqual([installed(root), installed(root, newer)], [[], [moduleName(newer, 1)]]);
  assert.match((await status(root)).problems.join(), new RegExp(`${running} is not subscribed`));
});

test('keys of every role are rotated, the root keys too, and a machine that slept through all of it follows', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const channel = await TufChannel.make(folder.path);
  channel.add({ version: 1 });
  await channel.publish();
  const root = image(folder.path, running);
  await followTuf(root, urlOf(channel.tree), channel.rootFile);
  await auto(root);
  for (const name of ['targets2', 'snapshot2', 'timestamp2', 'root4', 'root5', 'root6']) channel.newKey(name);
  await channel.root({ targets: ['targets2'], snapshot: ['snapshot2'], timestamp: ['timestamp2'] });
  channel.online = ['targets2', 'snapshot2', 'timestamp2'];
  const both = ['root1', 'root2', 'root4', 'root5'];
  const half = await channel.root({ root: ['root4', 'root5', 'root6'] }, {}, ['root1', 'root4']);
  assert.deepEqual([half.complete, half.missing], [false, { before: 1, own: 1 }]);
  assert.deepEqual((await channel.root({ root: ['root4', 'root5', 'root6'] }, {}, both)).complete, true);
  await channel.root({}, {}, ['root5', 'root6']);
  channel.add({ version: 2 });
  const tree = await channel.publish();
  followTufAt(root, tree);
  await update(root);
  assert.deepEqual(installed(root), [moduleName(running, 2)]);
  assert.equal(JSON.parse(readFileSync(join(stateFolder(root), 'metadata/root.json'), 'utf8')).signed.version, 4);
});

/** Another address for the same channel, as an administrator writes it into channel.conf. */
function followTufAt(root: string, tree: string): void {
  writeSettings(root, { url: urlOf(tree) });
}

test('timestamp and snapshot are renewed without the key of targets, as long as the list stays the same', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const channel = await TufChannel.make(folder.path);
  channel.add({ version: 1 });
  await channel.publish();
  channel.online = ['snapshot', 'timestamp'];
  await channel.publish();
  channel.add({ version: 2 });
  const error = await provokes('tuf-unsigned', () => channel.publish());
  assert.match(error.message, /targets metadata: 0 of 1/);
  await channel.root({}, { now: new Date(Date.now() - 500 * 86_400_000) });
  channel.online.push('targets');
  await provokes('tuf-root-expired', () => channel.publish());
});

test('a refresh that was cut off leaves the state as it was, and the next one works', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const channel = await TufChannel.make(folder.path);
  channel.add({ version: 1 });
  await channel.publish();
  const root = image(folder.path, running);
  await followTuf(root, urlOf(channel.tree), channel.rootFile);
  const base = stateFolder(root);
  const before = readdirSync(join(base, 'metadata')).sort();
  // As after a power cut: a copy that was never committed, and one that was renamed before the link changed.
  const cut = copyState(base);
  writeFileSync(join(cut.path, 'timestamp.json'), '{');
  mkdirSync(join(base, 'metadata.3'));
  writeFileSync(join(base, 'metadata.3/root.json'), '{');
  assert.deepEqual(readdirSync(join(base, 'metadata')).sort(), before);
  await auto(root);
  assert.deepEqual(installed(root), [moduleName(running, 1)]);
  rmSync(join(base, 'metadata/root.json'));
  await provokes('tuf-state', () => update(root));
  await followTuf(root, urlOf(channel.tree), channel.rootFile);
  await update(root);
  assert.equal(existsSync(join(base, 'metadata/targets.json')), true);
});

test('on a running machine the patch is loaded, and a failed check is an alarm in the journal', async () => {
  using folder = temporaryFolder('kpatch-test-');
  using machine = new FakeMachine();
  const channel = await TufChannel.make(folder.path);
  channel.addFile(machine.module({ name: 'one' }));
  await channel.publish();
  const base = join(machine.store, 'channel');
  startState(base, readFileSync(channel.rootFile));
  const options = { kernels: [running], dryRun: false, report: silentReporter() };
  const done = await applyChannel(machine, base, sourceAt(urlOf(channel.tree)), options);
  assert.deepEqual(done.changes, [{ package: running, from: '', to: '1-1' }]);
  assert.deepEqual(machine.names(), ['one']);
  await provokes('channel-unreachable', () => applyChannel(machine, base, folderSource('/nonexistent'), options));
  assert.equal(machine.journal.at(-1)?.KPATCH_OUTCOME, 'alarm');
  assert.equal(machine.journal.at(-1)?.KPATCH_ERROR, 'channel-unreachable');
  assert.deepEqual(machine.names(), ['one']);
});

test('a file that a mirror lacks does not hold back the patch of another kernel', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const channel = await TufChannel.make(folder.path);
  channel.add({ version: 1 });
  channel.add({ version: 1, release: newer });
  const tree = channel.copy(await channel.publish());
  rmSync(join(tree, 'tuf/targets', running), { recursive: true });
  for (const name of readdirSync(join(tree, 'tuf/targets'))) {
    if (name.endsWith('kernels.json')) rmSync(join(tree, 'tuf/targets', name));
  }
  const root = image(folder.path, running, newer);
  await followTuf(root, urlOf(tree), channel.rootFile);
  const to = join(folder.path, 'fetched');
  await provokes('tuf-target', () => fetchChannel(stateFolder(root), folderSource(tree), [running, newer], to));
  const done = await auto(root);
  assert.match(done.waiting.join(), /it is missing/);
  const fetched = await update(root, [], false, silentReporter(), { fetched: to });
  assert.equal(fetched.waiting.length, 1);
  assert.deepEqual([installed(root), installed(root, newer)], [[], [moduleName(newer, 1)]]);
});

test('check reads the repository as a machine does, and names what is wrong with a mirror', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const channel = await TufChannel.make(folder.path);
  channel.add({ version: 1 });
  const tree = await channel.publish();
  assert.deepEqual(await tufProblems(tree), { problems: [], files: 3 });
  const bad = channel.copy();
  const targets = join(bad, 'tuf/targets', running);
  for (const name of readdirSync(targets)) rmSync(join(targets, name));
  const { problems } = await tufProblems(bad, readFileSync(channel.rootFile));
  assert.match(problems.join('\n'), /_1_1\.ko of .* is not the one the channel lists: it is missing\n.*record\.json/);
  rmSync(join(bad, 'tuf/1.targets.json'));
  assert.match((await tufProblems(bad)).problems.join(), /do not belong together: tuf\/1\.targets\.json is missing/);
});

test('the TUF libraries are loaded when a command needs them, never by list, help, completion or the boot', () => {
  const room = join(import.meta.dirname, '../..');
  const files = readdirSync(room, { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.ts') && !name.includes('node_modules'),
  );
  const loading = files.filter((name) =>
    /^import (?!type)[^;]*from '(?:tuf-js|@tufjs)[^']*'/m.test(readFileSync(join(room, name), 'utf8')),
  );
  assert.deepEqual(loading, []);
});

test('fetching makes a mirror with what is needed and nothing else', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const channel = await TufChannel.make(folder.path);
  channel.add({ version: 1 });
  channel.add({ version: 2 });
  channel.add({ version: 1, release: newer });
  await channel.publish();
  const root = image(folder.path, running);
  await followTuf(root, urlOf(channel.tree), channel.rootFile);
  channel.add({ version: 3 });
  const tree = await channel.publish();
  const to = join(folder.path, 'fetched');
  await fetchChannel(stateFolder(root), folderSource(tree), [running], to);
  const files = readdirSync(to, { recursive: true, encoding: 'utf8' }).filter((name) => /\.\w+$/.test(name));
  assert.deepEqual(files.filter((name) => name.endsWith('.ko')).length, 1);
  assert.equal(
    files.some((name) => name.includes(newer)),
    false,
  );
  await auto(root).catch(() => undefined);
  const done = await update(root, [], false, silentReporter(), { fetched: to });
  assert.deepEqual(done.waiting, []);
  assert.deepEqual(installed(root), [moduleName(running, 3)]);
});

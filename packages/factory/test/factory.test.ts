import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from 'kpatch/parts';
import { readConfig } from '#factory/config.ts';
import { FolderBlobs } from '#factory/store/blobs.ts';
import { openDatabase } from '#factory/store/database.ts';
import { State } from '#factory/store/state.ts';
import { PostgresServer } from '../../kpatch/test/postgres.ts';
import { provokes } from '../../kpatch/test/provoke.ts';
import { giveDatabase } from './empty-database.ts';
import { lines } from './repository.ts';
import { RELEASE, World } from './world.ts';

/** From records to a publication; then a new record, a fix of a fix, and a withdrawal. */
async function wholeWay(url: string | undefined): Promise<void> {
  using folder = temporaryFolder('kpatch-factory-');
  const world = new World(folder.path);
  const { repository } = world;
  const a = repository.commit('fix a', { 'net/a.c': lines(60, { 5: 'checked a' }) });
  const bad = repository.commit('bad', { 'net/a.c': lines(60, { 5: 'checked a', 30: 'REFUSED' }) });
  const none = repository.commit('not built', { 'drivers/none.c': lines(60, { 5: 'x' }) });
  world.record({ id: 'CVE-2026-1001', fixed: [a] });
  world.record({ id: 'CVE-2026-1002', fixed: [bad] });
  world.record({ id: 'CVE-2026-1003', fixed: [none], files: ['drivers/none.c'] });
  world.record({ id: 'CVE-2026-1004', fixed: ['f'.repeat(40)] });
  let factory = await world.run(url);
  assert.deepEqual(world.published, [{ cves: ['CVE-2026-1001'], withdrawn: [] }]);
  assert.deepEqual(world.companions, [['held', 'how']]);
  const built = await factory.state.read('build', RELEASE);
  assert.equal(built?.version, 1);
  assert.deepEqual(
    built?.dropped.map(({ cves }) => cves),
    [['CVE-2026-1002']],
  );
  assert.match(built.dropped[0]!.reason, /the build refuses it \(usage\)/);
  await world.close();

  // Nothing new: nothing is built or published again.
  const builds = world.builds.length;
  await world.run(url);
  await world.close();
  assert.equal(world.builds.length, builds);
  assert.equal(world.published.length, 1);

  const b = repository.commit('fix b', { 'net/b.c': lines(60, { 5: 'checked b' }) });
  world.record({ id: 'CVE-2026-1005', fixed: [b], files: ['net/b.c'] });
  await world.run(url);
  await world.close();
  assert.deepEqual(world.published.at(-1), { cves: ['CVE-2026-1001', 'CVE-2026-1005'], withdrawn: [] });

  repository.commit(`repair a\n\nFixes: ${a.slice(0, 12)} ("fix a")`, {
    'net/a.c': lines(60, { 5: 'checked a', 30: 'REFUSED', 50: 'better' }),
  });
  factory = await world.run(url);
  assert.equal(world.builds.at(-1)!.includes('repair a'), true);
  await factory.state.decide({ subject: 'CVE-2026-1005', word: 'withdraw', reason: 'it is slow', who: 'test' });
  await world.close();
  await world.run(url);
  await world.close();
  assert.deepEqual(world.published.at(-1), { cves: ['CVE-2026-1001'], withdrawn: ['CVE-2026-1005: it is slow'] });
}

test('the whole way on the embedded database', () => wholeWay(undefined));

test('the whole way on PostgreSQL', async () => {
  await using server = await PostgresServer.start();
  await wholeWay(server.url);
});

test('a person decides where the settings say so; an approval is for one version', async () => {
  using folder = temporaryFolder('kpatch-factory-');
  const world = new World(folder.path, { decision: 'person' });
  const a = world.repository.commit('fix a', { 'net/a.c': lines(60, { 5: 'checked a' }) });
  world.record({ id: 'CVE-2026-1001', fixed: [a] });
  let factory = await world.run();
  assert.equal(world.published.length, 0);
  assert.ok((await factory.state.events()).some(({ kind }) => kind === 'waiting'));
  await factory.state.decide({ subject: `${RELEASE} 2`, word: 'approve', reason: 'r', who: 'test' });
  await world.close();
  factory = await world.run();
  assert.equal(world.published.length, 0, 'an approval of another version');
  await factory.state.decide({ subject: `${RELEASE} 1`, word: 'approve', reason: 'r', who: 'test' });
  await world.close();
  await world.run();
  await world.close();
  assert.equal(world.published.length, 1);
});

test('a refused proof publishes nothing; a window that is over builds nothing', async () => {
  using folder = temporaryFolder('kpatch-factory-');
  const world = new World(folder.path);
  const a = world.repository.commit('fix a', { 'net/a.c': lines(60, { 5: 'checked a' }) });
  world.record({ id: 'CVE-2026-1001', fixed: [a] });
  world.reasons = ['the kernel log has a warning'];
  const factory = await world.run();
  assert.equal(world.published.length, 0);
  const proof = (await factory.state.events()).find(({ kind }) => kind === 'proof');
  assert.deepEqual(proof?.data.reasons, ['the kernel log has a warning']);
  await world.close();
  using second = temporaryFolder('kpatch-factory-');
  const late = new World(second.path, { kernels: [{ release: RELEASE, until: '2020-01-01' }] });
  late.record({ id: 'CVE-2026-1001', fixed: [a] });
  await late.run();
  await late.close();
  assert.equal(late.builds.length, 0);
});

test('settings that are wrong are refused with the place', async () => {
  using folder = temporaryFolder('kpatch-factory-');
  const kernels = [{ release: RELEASE }];
  const good = { schema: 'kpatch.factory/1', feeds: [], kernels };
  const read = (document: unknown): unknown => {
    writeFileSync(
      join(folder.path, 'factory.json'),
      typeof document === 'string' ? document : JSON.stringify(document),
    );
    return readConfig(folder.path);
  };
  read(good);
  for (const bad of [
    '{',
    [],
    { ...good, kernels: [] },
    { ...good, feed: [] },
    { ...good, kernels: [...kernels, ...kernels] },
    { ...good, kernels: [{ release: '../x' }] },
    { ...good, kernels: [{ release: RELEASE, until: 'soon' }] },
    { ...good, decision: 'perhaps' },
  ])
    await provokes('factory-config', () => read(bad));
  await provokes('factory-config', () => readConfig(join(folder.path, 'none')));
});

test('the embedded database: a second process, damaged files, dump and restore', async () => {
  using folder = temporaryFolder('kpatch-factory-');
  const first = await openDatabase(folder.path, undefined);
  await provokes('locked', () => openDatabase(folder.path, undefined));
  const state = new State(first, new FolderBlobs(join(folder.path, 'store')));
  const build = { series: 'a'.repeat(64), version: 1, cves: ['CVE-2026-1'], patches: [], dropped: [] };
  await state.write('build', RELEASE, build);
  await state.decide({ subject: 'CVE-2026-1', word: 'hold', reason: 'r', who: 'w' });
  await state.note('built', RELEASE, { version: 1 });
  const dump = await state.dump();
  await first.close();
  await giveDatabase(join(folder.path, 'other'));
  const again = await openDatabase(join(folder.path, 'other'), undefined);
  const restored = new State(again, state.blobs);
  await restored.restore(dump);
  assert.deepEqual(await restored.read('build', RELEASE), build);
  assert.equal(await restored.dump(), dump);
  await again.query('update factory.version set version = 99');
  await again.close();
  await provokes('factory-database', () => openDatabase(join(folder.path, 'other'), undefined));
  const damaged = join(folder.path, 'damaged', 'database');
  mkdirSync(damaged, { recursive: true });
  writeFileSync(join(damaged, 'PG_VERSION'), '12\n');
  await provokes('factory-database', () => openDatabase(join(folder.path, 'damaged'), undefined));
  await provokes('factory-database', () => openDatabase(folder.path, 'postgres://postgres@127.0.0.1:1/none'));
});

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from 'kpatch/parts';
import { realTools, reasonsAgainst } from '#factory/cli/tools.ts';
import { writeModule } from '../../kpatch/test/channel/module-file.ts';
import { provokes } from '../../kpatch/test/provoke.ts';
import { lines } from './repository.ts';
import { RELEASE, World } from './world.ts';

const factory = (home: string, ...args: string[]) =>
  spawnSync('bin/kpatch-factory', ['-C', home, ...args], { encoding: 'utf8' });

test('the program: status, decisions with reasons, events, the page as files, dump and restore', async () => {
  using folder = temporaryFolder('kpatch-factory-');
  const world = new World(folder.path);
  const a = world.repository.commit('fix a', { 'net/a.c': lines(60, { 5: 'checked a' }) });
  world.record({ id: 'CVE-2026-1001', fixed: [a] });
  await world.run();
  await world.close();
  const status = factory(world.home, 'status');
  assert.equal(status.status, 0, status.stderr);
  assert.match(status.stdout, /6\.1\.0-47-amd64: version 1 is published\n +1 published/);
  assert.equal(factory(world.home, 'hold', 'CVE-2026-1001').status, 2, 'a reason is needed');
  assert.equal(factory(world.home, 'hold', 'x', '--reason', 'r').status, 2);
  assert.equal(factory(world.home, 'approve', '9.9', '--reason', 'r').status, 2);
  const held = factory(world.home, 'hold', 'CVE-2026-1001', '--reason', 'it is slow');
  assert.equal(held.status, 0, held.stderr);
  const events = factory(world.home, 'events')
    .stdout.trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { kind: string; data: object });
  assert.ok(events.some(({ kind, data }) => kind === 'hold' && JSON.stringify(data).includes('it is slow')));
  const out = join(folder.path, 'page');
  assert.equal(factory(world.home, 'export', out).status, 0);
  assert.match(readFileSync(join(out, 'index.html'), 'utf8'), /href="cve\/CVE-2026-1001\.html"/);
  assert.ok(existsSync(join(out, 'cve/CVE-2026-1001.html')) && existsSync(join(out, `kernel/${RELEASE}.html`)));
  const oval = join(folder.path, 'oval.xml');
  assert.equal(factory(world.home, 'oval', oval).status, 0);
  const feed = readFileSync(oval, 'utf8');
  assert.match(feed, /\/sys\/kernel\/livepatch\/kpatch_1\/enabled/);
  assert.match(feed, /oval:kpatch:def:202600001001/);
  const dump = join(folder.path, 'dump');
  assert.equal(factory(world.home, 'dump', dump).status, 0);
  assert.equal(factory(world.home, 'restore', dump).status, 2, 'the database is not empty');
  assert.equal(factory(world.home, 'nonsense').status, 2);
  assert.equal(factory(folder.path, 'status').status, 2);
});

test('a channel that takes nothing is an error with its own words', async () => {
  using folder = temporaryFolder('kpatch-factory-');
  const module = writeModule(folder.path);
  const error = await provokes('factory-channel', () => realTools({}).publish(folder.path, module, []));
  assert.match(error.message, /is not a channel/);
});

test('a proof that cannot run is an error with its reason', async () => {
  using folder = temporaryFolder('kpatch-factory-');
  const module = join(folder.path, 'none.ko');
  const order = { module, plan: 'quick', predecessors: [], patches: [] } as const;
  const error = await provokes('factory-proof', () => realTools({}).prove(order));
  assert.match(error.message, /none\.ko/);
});

test('a store of another machine needs its secret and a database that both reach', () => {
  const refused = (...args: string[]): string => {
    const { status, stderr } = factory('.', ...args);
    assert.equal(status, 2, stderr);
    return stderr;
  };
  assert.match(refused('--store', 'https://x', 'status'), /needs --token/);
  assert.match(refused('--store', 'https://x', '--token', 't', 'status'), /needs --database/);
  assert.match(refused('store'), /needs --token/);
  assert.match(refused('store', '--token', 't', '--listen', '0.0.0.0:8471'), /give --certificate and --key/);
  assert.match(refused('store', '--token', 't', '--certificate', 'c'), /belong together/);
  assert.match(refused('worker', '--steps', 'build,none'), /Unknown step none/);
});

test('a proof counts only if its verdict is that everything was proven', () => {
  assert.deepEqual(reasonsAgainst({ verdict: 'proven', reasons: [] }), []);
  assert.deepEqual(reasonsAgainst({ verdict: 'proven except tun', reasons: [] }), [
    'the verdict is "proven except tun"',
  ]);
  assert.equal(reasonsAgainst({ verdict: 'not proven', reasons: ['a warning'] }).length, 2);
});

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { readModuleFile } from '#kpatch/host/store/module-file.ts';
import {
  findInstalled,
  installedEverywhere,
  installedPatches,
  readInstalled,
  rebuildIndex,
  recover,
  removeInstalled,
  stage,
} from '#kpatch/host/store/store.ts';
import { provokes } from '../provoke.ts';
import { FakeMachine, type ModuleFields, moduleBytes, RELEASE } from './fake.ts';

function put(machine: FakeMachine, fields: ModuleFields, replaced: string[] = []): void {
  const module = readModuleFile(machine.module(fields));
  const old = installedPatches(machine, RELEASE).filter(({ name }) => replaced.includes(name));
  machine.now += 1000;
  stage(machine, RELEASE, module, `${fields.name}.ko`).commit(old, {
    policy: 'none',
    at: '2026-01-01T00:00:00.000Z',
    keys: [],
  });
}

const names = (machine: FakeMachine): string[] => installedPatches(machine, RELEASE).map(({ name }) => name);
const visible = (machine: FakeMachine): string[] => {
  return readdirSync(join(machine.store, RELEASE)).filter((name) => !name.startsWith('.'));
};

test('a module is installed as NAME.ko in the folder of its release', () => {
  using machine = new FakeMachine();
  put(machine, { name: 'one' });
  assert.deepEqual(visible(machine), ['one.ko']);
  assert.deepEqual(
    installedEverywhere(machine).map(({ name, release }) => [name, release]),
    [['one', RELEASE]],
  );
  const found = findInstalled(machine, RELEASE, 'one.ko');
  assert.equal(readInstalled(found).name, 'one');
});

test('what is staged is not installed, and is gone after the next change', () => {
  using machine = new FakeMachine();
  put(machine, { name: 'one' });
  const staged = stage(machine, RELEASE, readModuleFile(machine.module({ name: 'two' })), 'two.ko');
  assert.ok(existsSync(staged.path));
  assert.deepEqual(names(machine), ['one']);
  recover(machine, RELEASE);
  assert.ok(!existsSync(staged.path));
  assert.deepEqual(names(machine), ['one']);
});

test('at each step of a replacement exactly one of the two is installed', () => {
  using machine = new FakeMachine();
  put(machine, { name: 'one' });
  const before = readFileSync(join(machine.store, RELEASE, '.index.json'));
  put(machine, { name: 'two' }, ['one']);
  const after = JSON.parse(readFileSync(join(machine.store, RELEASE, '.index.json'), 'utf8')) as object;
  const folder = join(machine.store, RELEASE);
  const oneBytes = moduleBytes({ name: 'one' });
  const decided = JSON.stringify({ ...after, pending: { staged: 'two.ko', remove: ['one.ko'] } });

  // 1: staged, nothing decided
  renameSync(join(folder, 'two.ko'), join(folder, '.staged/two.ko'));
  writeFileSync(join(folder, 'one.ko'), oneBytes);
  writeFileSync(join(folder, '.index.json'), before);
  assert.deepEqual(names(machine), ['one']);
  // 2: decided, no file has moved
  writeFileSync(join(folder, '.index.json'), decided);
  assert.deepEqual(names(machine), ['two']);
  assert.equal(readInstalled(findInstalled(machine, RELEASE, 'two')).name, 'two');
  // 3: the new file is in its place, the old one still there
  renameSync(join(folder, '.staged/two.ko'), join(folder, 'two.ko'));
  assert.deepEqual(names(machine), ['two']);
  assert.equal(readInstalled(findInstalled(machine, RELEASE, 'two')).name, 'two');
  // 4: the next command finishes it, and doing so twice is harmless
  recover(machine, RELEASE);
  recover(machine, RELEASE);
  assert.deepEqual(visible(machine), ['two.ko']);
  assert.deepEqual(JSON.parse(readFileSync(join(folder, '.index.json'), 'utf8')), after);
});

test('a module put there by hand counts as installed', () => {
  using machine = new FakeMachine();
  machine.set(`store/${RELEASE}/by-hand.ko`, 'anything');
  put(machine, { name: 'one' });
  assert.deepEqual(names(machine), ['by_hand', 'one']);
  removeInstalled(machine, RELEASE, [findInstalled(machine, RELEASE, 'by-hand.ko')]);
  assert.deepEqual(visible(machine), ['one.ko']);
});

test('a module whose bytes changed is found out', async () => {
  using machine = new FakeMachine();
  put(machine, { name: 'one' });
  const path = join(machine.store, RELEASE, 'one.ko');
  const bytes = readFileSync(path);
  bytes[100] = (bytes[100] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  await provokes('store-damaged', () => readInstalled(findInstalled(machine, RELEASE, 'one')));
});

test('a damaged index loses no module and can be made again', async () => {
  using machine = new FakeMachine();
  put(machine, { name: 'one' });
  for (const text of ['', '{', '[]', 'null', '{"schema":"kpatch.store/1","entries":[{"file":"../../etc/passwd"}]}']) {
    machine.set(`store/${RELEASE}/.index.json`, text);
    assert.deepEqual(names(machine), ['one'], text);
    await provokes('store-index-damaged', () => put(machine, { name: 'two' }));
    rebuildIndex(machine, RELEASE);
    assert.equal(findInstalled(machine, RELEASE, 'one').sha256?.length, 64);
  }
});

test('a patch that is not installed, and one that is installed for another kernel', async () => {
  using machine = new FakeMachine();
  put(machine, { name: 'one' });
  await provokes('not-installed', () => findInstalled(machine, RELEASE, 'two'));
  const error = await provokes('not-installed', () => findInstalled(machine, '6.12.1', 'one'));
  assert.match(error.detail ?? '', new RegExp(RELEASE));
  for (const release of ['../etc', '', 'channel', '6.1/x', '.']) {
    await provokes('usage', () => findInstalled(machine, release, 'one'));
  }
});

test('an unreadable store is an empty one, and a full or read-only one changes nothing', async () => {
  using machine = new FakeMachine();
  assert.deepEqual(installedEverywhere(machine), []);
  machine.set('store', 'a file where the folder should be');
  assert.deepEqual(installedEverywhere(machine), []);
  await provokes('file-unwritable', () => put(machine, { name: 'one' }));
  rmSync(machine.store);
});

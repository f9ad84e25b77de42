import assert from 'node:assert/strict';
import fs, { copyFileSync, existsSync, readdirSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentReporter } from '#kpatch/base/report.ts';
import { type BootResult, incomplete, loadAll, markSurvived } from '#kpatch/host/boot/boot.ts';
import { loadedPatch } from '#kpatch/host/live/livepatches.ts';
import { loadModule } from '#kpatch/host/live/load.ts';
import { readRecord } from '#kpatch/host/live/loaded-record.ts';
import { unloadPatch } from '#kpatch/host/live/unload.ts';
import { withLock } from '#kpatch/host/machine/host-lock.ts';
import { findModule } from '#kpatch/host/store/find.ts';
import { type InstallOptions, installModule, uninstallPatch } from '#kpatch/host/store/install.ts';
import { readModuleFile } from '#kpatch/host/store/module-file.ts';
import { installedPatches } from '#kpatch/host/store/store.ts';
import { provokes } from '../provoke.ts';
import { buildIdNote, FakeMachine, type ModuleFields, RELEASE } from './fake.ts';

const report = silentReporter();
const install = (machine: FakeMachine, fields: ModuleFields, options: InstallOptions = {}): Promise<unknown> => {
  return installModule(machine, machine.module(fields), options, report);
};
const boot = (machine: FakeMachine): Promise<BootResult> => loadAll(machine, { guarded: true }, report);
const installed = (machine: FakeMachine): string[] => installedPatches(machine, RELEASE).map(({ name }) => name);
const stuck = [{ pid: 9, command: 'sleeper', stack: ['meminfo_proc_show+0x1/0x2'] }];

test('installing loads the patch, keeps it, and each boot loads it', async () => {
  using machine = new FakeMachine();
  await install(machine, { name: 'one' });
  assert.deepEqual(machine.names(), ['one']);
  machine.reboot();
  assert.deepEqual(machine.names(), []);
  const { loads } = await boot(machine);
  assert.deepEqual(
    loads.map(({ name }) => name),
    ['one'],
  );
  await uninstallPatch(machine, 'one', {}, report);
  assert.deepEqual(machine.names(), ['one'], 'uninstalling must not unload');
  machine.reboot();
  assert.deepEqual((await boot(machine)).loads, []);
});

test('a cumulative successor takes the place of its predecessor, twice in a row', async () => {
  using machine = new FakeMachine();
  for (const version of [1, 2, 3]) {
    await install(machine, { name: `patch_${version}`, manifest: { version } });
    assert.deepEqual(machine.names(), [`patch_${version}`]);
    assert.deepEqual(installed(machine), [`patch_${version}`]);
  }
  assert.ok(machine.acts.includes('rmmod patch_1') && machine.acts.includes('rmmod patch_2'));
});

test('a successor that does not become active leaves everything as it was', async () => {
  using machine = new FakeMachine();
  await install(machine, { name: 'one' });
  machine.tasks = stuck;
  await provokes('transition-reverted', () => install(machine, { name: 'two', manifest: { version: 2 } }));
  assert.deepEqual(installed(machine), ['one']);
  assert.deepEqual(readdirSync(join(machine.store, RELEASE, '.staged')), []);
  machine.reboot();
  machine.tasks = [];
  await boot(machine);
  assert.deepEqual(machine.names(), ['one']);
});

test('a lower version or another line needs --downgrade', async () => {
  using machine = new FakeMachine();
  await install(machine, { name: 'two', manifest: { version: 2 } });
  const one = { name: 'one', manifest: { version: 1 } };
  await provokes('newer-loaded', () => install(machine, one));
  await provokes('newer-loaded', () => install(machine, one, { load: false }));
  const other = { name: 'other', manifest: { version: 9, line: 'debug' } };
  await provokes('other-line', () => install(machine, other));
  await install(machine, one, { downgrade: true });
  assert.deepEqual(installed(machine), ['one']);
  assert.deepEqual(machine.names(), ['one']);
  await install(machine, other, { downgrade: true });
  assert.deepEqual(installed(machine), ['other']);
});

test('modules of other tools are installed beside each other, and not replaced unasked', async () => {
  using machine = new FakeMachine();
  await install(machine, { name: 'foreign_a', manifest: false });
  await install(machine, { name: 'foreign_b', manifest: false });
  assert.deepEqual(installed(machine), ['foreign_a', 'foreign_b']);
  await provokes('replaces-unknown', () => install(machine, { name: 'one' }));
  machine.reboot();
  await boot(machine);
  assert.deepEqual(machine.names(), ['foreign_a', 'foreign_b']);
});

test('installing again what is installed changes nothing; other content under the name is refused', async () => {
  using machine = new FakeMachine();
  await install(machine, { name: 'one' });
  const error = await provokes('already-installed', () => install(machine, { name: 'one' }));
  assert.equal(error.exit, 3);
  await provokes('name-taken', () => install(machine, { name: 'one', filling: 'changed' }));
  await provokes('name-taken', () =>
    loadModule(machine, readModuleFile(machine.module({ name: 'one', filling: 'x' })), {}, report),
  );
});

test('for another kernel it is only kept; the wrong kernel is refused', async () => {
  using machine = new FakeMachine();
  const other = { name: 'later', vermagic: '6.12.1-amd64 SMP', manifest: { release: '6.12.1-amd64' } };
  await provokes('release-mismatch', () => install(machine, other));
  await install(machine, other, { release: '6.12.1-amd64' });
  assert.deepEqual(machine.names(), []);
  assert.ok(existsSync(join(machine.store, '6.12.1-amd64/later.ko')));
  assert.deepEqual((await boot(machine)).loads, []);
});

test('--dry-run checks and does nothing', async () => {
  using machine = new FakeMachine();
  await install(machine, { name: 'one' }, { dryRun: true });
  assert.deepEqual([installed(machine), machine.names(), machine.acts], [[], [], []]);
  machine.set('proc/sys/kernel/ftrace_enabled', '0');
  await provokes('ftrace-disabled', () => install(machine, { name: 'one' }, { dryRun: true }));
});

test('only root installs', async () => {
  using machine = new FakeMachine();
  machine.isRoot = false;
  await provokes('not-root', () => install(machine, { name: 'one' }));
  assert.ok(!existsSync(machine.store));
});

test('of several cumulative patches in the store the highest boots, with those that lie on top of it after it', async () => {
  using machine = new FakeMachine();
  await install(machine, { name: 'two', manifest: { version: 2 } });
  await install(machine, { name: 'on_top', manifest: { version: 1, replace: false } });
  copyFileSync(machine.module({ name: 'one', manifest: { version: 1 } }), join(machine.store, RELEASE, 'one.ko'));
  machine.reboot();
  await boot(machine);
  assert.deepEqual(machine.acts.slice(-2), ['insmod two', 'insmod on_top']);
});

test('a boot that was survived, or shut down in order, is no reason to block', async () => {
  using machine = new FakeMachine();
  await install(machine, { name: 'one' });
  for (let i = 0; i < 3; i++) {
    machine.reboot();
    assert.deepEqual((await boot(machine)).blocked, []);
    assert.equal(await markSurvived(machine), true);
    assert.equal(await markSurvived(machine), false);
  }
});

test('kpatch.enable=0 keeps everything from being loaded at boot, not by hand', async () => {
  using machine = new FakeMachine();
  await install(machine, { name: 'one' });
  machine.reboot();
  machine.set('proc/cmdline', 'quiet kpatch.enable=0 ro');
  assert.equal((await boot(machine)).disabled, true);
  assert.deepEqual(machine.names(), []);
  await loadAll(machine, {}, report);
  assert.deepEqual(machine.names(), ['one']);
});

test('where the guard cannot be written, only what has survived a boot before is loaded', async (t) => {
  using machine = new FakeMachine();
  await install(machine, { name: 'old' });
  machine.reboot();
  await boot(machine);
  await markSurvived(machine);
  await install(machine, { name: 'new', manifest: { replace: false } });
  machine.reboot();
  const full = t.mock.method(fs, 'renameSync', () => {
    throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
  });
  syncBuiltinESMExports();
  const result = await boot(machine);
  full.mock.restore();
  syncBuiltinESMExports();
  assert.deepEqual([result.loads.map(({ name }) => name), machine.names()], [['old'], ['old']]);
  const [failure] = result.failures;
  await provokes('guard-unwritable', () => {
    throw failure?.error;
  });
  assert.ok(machine.journal.some((entry) => entry.KPATCH_ERROR === 'guard-unwritable' && entry.KPATCH_PATCH === 'new'));
});

test('loading all with --dry-run says what would be loaded and loads nothing', async () => {
  using machine = new FakeMachine();
  await install(machine, { name: 'one' });
  await install(machine, { name: 'extra', manifest: { replace: false } });
  await unloadPatch(machine, 'extra', {}, report);
  const acts = machine.acts.length;
  const loaded = await loadAll(machine, { dryRun: true }, report);
  assert.deepEqual(
    loaded.loads.map(({ name, outcome }) => [name, outcome]),
    [
      ['one', 'already'],
      ['extra', 'fits'],
    ],
  );
  machine.set('proc/sys/kernel/ftrace_enabled', '0');
  const refused = await loadAll(machine, { dryRun: true, guarded: true }, report);
  assert.deepEqual(
    refused.failures.map(({ name, error }) => [name, error.code]),
    [['extra', 'ftrace-disabled']],
  );
  assert.deepEqual([machine.acts.length, machine.journal.filter((entry) => entry.KPATCH_ERROR)], [acts, []]);
  assert.equal(existsSync(join(machine.store, RELEASE, '.boot.json')), false);
});

test('one damaged module does not keep the others from booting', async () => {
  using machine = new FakeMachine();
  await install(machine, { name: 'one' });
  await install(machine, { name: 'extra', manifest: { replace: false } });
  machine.set(`store/${RELEASE}/one.ko`, 'truncated');
  machine.reboot();
  const result = await boot(machine);
  const { failures, loads } = result;
  const error = await provokes('boot-incomplete', () => {
    throw incomplete(result);
  });
  assert.match(error.detail ?? '', /one.*has changed since it was installed/);
  await provokes('store-damaged', () => findModule(machine, 'one'));
  await provokes('patch-not-found', () => findModule(machine, 'none'));
  await provokes('patch-not-found', () => findModule(machine, '/none.ko'));
  assert.equal(findModule(machine, 'extra.ko').name, 'extra');
  assert.deepEqual(
    [failures.map(({ error }) => error.code), loads.map(({ name }) => name)],
    [['store-damaged'], ['extra']],
  );
});

test('two commands at once: the second waits, or says so', async () => {
  using machine = new FakeMachine();
  let second: Promise<unknown> | undefined;
  await withLock(machine, report, 0, async () => {
    await provokes('locked', () => withLock(machine, report, 0, async () => {}));
    second = withLock(machine, report, 5000, async () => 'done');
  });
  assert.equal(await second, 'done');
});

test('what another tool loaded under the name is recognised by its build-id', async () => {
  using machine = new FakeMachine();
  const [mine, other] = ['ab'.repeat(20), 'cd'.repeat(20)];
  const module = readModuleFile(machine.module({ name: 'one', buildId: mine }));
  machine.foreign('one');
  machine.set('sys/module/one/notes/.note.gnu.build-id', buildIdNote(other));
  await provokes('name-taken', () => loadModule(machine, module, {}, report));
  machine.set('sys/module/one/notes/.note.gnu.build-id', buildIdNote(mine));
  assert.equal((await loadModule(machine, module, {}, report)).outcome, 'already');
  await unloadPatch(machine, 'one', {}, report);
  await loadModule(machine, module, {}, report);
  assert.equal(readRecord(machine, 'one')?.sha256, module.sha256);
  machine.set('sys/module/one/notes/.note.gnu.build-id', buildIdNote(other));
  assert.equal(readRecord(machine, 'one'), undefined, 'what was known is of another module');
});

test('a successor that became active in the moment in which it is taken back is not lost', async () => {
  using machine = new FakeMachine();
  await install(machine, { name: 'one' });
  machine.tasks = stuck;
  const { write } = machine.control;
  machine.control.write = (path, value) => {
    machine.control.write = write;
    machine.tasks = [];
    void machine.clock.sleep(0); // the kernel ends the transition just before
    assert.deepEqual(machine.names(), ['two']);
    return write(path, value);
  };
  await install(machine, { name: 'two', manifest: { version: 2 } }, { waitMs: 1000 });
  assert.equal(loadedPatch(machine, 'two')?.enabled, true);
  assert.deepEqual([machine.names(), installed(machine)], [['two'], ['two']]);
});

test('unload and load of an installed patch', async () => {
  using machine = new FakeMachine();
  await install(machine, { name: 'one' });
  await unloadPatch(machine, 'one', {}, report);
  assert.equal(loadedPatch(machine, 'one'), undefined);
  assert.deepEqual(installed(machine), ['one']);
});

test('loading what is active already does nothing', async () => {
  using machine = new FakeMachine();
  const module = readModuleFile(machine.module({ name: 'one' }));
  await loadModule(machine, module, {}, report);
  const acts = machine.acts.length;
  assert.equal((await loadModule(machine, module, {}, report)).outcome, 'already');
  assert.equal(machine.acts.length, acts);
});

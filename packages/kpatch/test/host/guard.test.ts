import assert from 'node:assert/strict';
import { chmodSync, chownSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { markSurvived, personAtWork } from '#kpatch/host/boot/boot.ts';
import { crashEvidence, modulesInTraces } from '#kpatch/host/boot/crash-evidence.ts';
import { readGuard } from '#kpatch/host/boot/guard.ts';
import { statusOf } from '#kpatch/host/status.ts';
import { installAgain, installModule, uninstallPatch } from '#kpatch/host/store/install.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';
import { RELEASE } from './fake.ts';
import { boot, DAY, lose, panic, report, withPatch } from './guard-machine.ts';

test('modules are taken from traces, not from the list of modules', () => {
  const text = 'Modules linked in: a b\n f+0x1/0x2 [c]\n g+0x10/0x2f [d 3a4b5c6d]\nRIP: 0010:h+0xa/0xb\n';
  assert.deepEqual(modulesInTraces(text), ['c', 'd']);
});

test('crash records are found in folders, of this boot only, and anything odd there is passed over', async () => {
  using machine = await withPatch();
  const since = machine.clock.date();
  assert.deepEqual(crashEvidence(machine, since), { modules: [] });
  machine.set('crash/202601010000/dmesg.202601010000', 'x+0x1/0x2 [old]');
  utimesSync(join(machine.folder, 'crash/202601010000/dmesg.202601010000'), 1, 1);
  machine.set('crash/dmesg-folder/x', '');
  assert.deepEqual(crashEvidence(machine, since), { modules: [] });
  panic(machine, 'one');
  assert.deepEqual(crashEvidence(machine, since).modules, ['one']);
});

test('a crash record that names the patch blocks it at once, until a person says otherwise', async () => {
  using machine = await withPatch();
  assert.deepEqual(await lose(machine, 1), []);
  panic(machine, 'one');
  machine.reboot();
  assert.deepEqual([(await boot(machine)).blocked, machine.names()], [['one'], []]);
  assert.ok(machine.journal.some((entry) => entry.KPATCH_OUTCOME === 'blocked' && entry.KPATCH_PATCH === 'one'));
  machine.now += 30 * DAY;
  machine.reboot();
  assert.deepEqual((await boot(machine)).blocked, ['one'], 'it stays blocked');
  assert.match(statusOf(machine).todo.join('\n'), /one is blocked: the crash record .*dmesg-efi-1 names it/);
  const dry = await installAgain(machine, undefined, { dryRun: true }, report);
  assert.deepEqual([dry.freed, machine.names()], [['one'], []]);
  const again = await installAgain(machine, undefined, {}, report);
  assert.deepEqual([again.freed, machine.names()], [['one'], ['one']]);
  await provokes('none-blocked', () => installAgain(machine, 'one', {}, report));
  machine.reboot();
  assert.deepEqual((await boot(machine)).blocked, []);
});

test('lost boots without a record: the patch is tried three times, then blocked for a day, then tried again', async () => {
  using machine = await withPatch();
  assert.deepEqual(await lose(machine, 3), []);
  assert.match(statusOf(machine).observed.join('\n'), /no crash record was found \(a reset or a power cut\)/);
  assert.deepEqual(await lose(machine, 1), ['one']);
  assert.match(statusOf(machine).todo.join('\n'), /3 boots .*no crash record .*tried again at the first boot after/);
  await markSurvived(machine);
  machine.now += DAY;
  assert.deepEqual(await lose(machine, 1), [], 'the block is over');
  assert.deepEqual(await lose(machine, 1), ['one'], 'one failed trial is enough now');
  await markSurvived(machine);
  machine.now += DAY;
  assert.deepEqual(await lose(machine, 1), ['one'], 'the second block lasts two days');
  await markSurvived(machine);
  machine.now += DAY;
  assert.deepEqual(await lose(machine, 1), []);
  await markSurvived(machine);
  assert.deepEqual(readGuard(machine, RELEASE).blocked, [], 'a survived boot clears it');
});

test('a clock that went back does not hold a fix back', async () => {
  using machine = await withPatch();
  assert.deepEqual(await lose(machine, 4), ['one']);
  machine.now -= 365 * DAY;
  assert.deepEqual(await lose(machine, 1), []);
});

test('a successor of a blocked patch is tried', async () => {
  using machine = await withPatch();
  await lose(machine, 4);
  await installModule(machine, machine.module({ name: 'two', manifest: { version: 2 } }), {}, report);
  machine.reboot();
  const { blocked, loads } = await boot(machine);
  assert.deepEqual([blocked, loads.map(({ name }) => name)], [[], ['two']]);
});

test('a person who installs shows that the system is up; a service does not', async () => {
  for (const [env, lost] of [
    [{}, 0],
    [{ INVOCATION_ID: '1' }, 1],
  ] as const) {
    using machine = await withPatch();
    machine.reboot();
    await boot(machine);
    await personAtWork(machine, env);
    machine.reboot(); // the power was cut
    await boot(machine);
    assert.equal(readGuard(machine, RELEASE).lost?.length, lost);
  }
});

test('a guard file with anything wrong in it counts as damaged, and blocks nothing', async () => {
  using machine = await withPatch();
  const file = join(machine.store, RELEASE, '.boot.json');
  for (const text of [
    '',
    '{',
    '{"schema":"kpatch.boot/1"}',
    '{"schema":"kpatch.boot/1","blocked":[1]}',
    '{"schema":"kpatch.boot/1","blocked":[{"name":"one","sha256":"x","until":"soon"}]}',
    '{"schema":"kpatch.boot/1","blocked":[],"lost":[{}]}',
  ]) {
    machine.reboot();
    writeFileSync(file, text);
    assert.deepEqual((await boot(machine)).blocked, []);
  }
});

attack(
  {
    area: 'boot guard',
    attacker: 'local user',
    how: 'reset the machine within five minutes of every boot, to have the fix switched off for good',
  },
  async () => {
    using machine = await withPatch();
    const rounds: boolean[] = [];
    for (let i = 0; i < 12; i++) {
      machine.reboot();
      await boot(machine);
      rounds.push(machine.names().includes('one'));
    }
    // Three tries, then one boot without the patch, which the attacker resets too: that is the patch's alibi.
    assert.ok(rounds.filter((active) => !active).length <= 3, String(rounds));
    await boot(machine);
    return 'a lost boot without a crash record blocks only after several tries and for a time; lost without the patch as well, it is tried again';
  },
);

attack(
  {
    area: 'boot guard',
    attacker: 'local user',
    how: 'crash the kernel by other means within five minutes of a boot, so that a crash record is there to blame the fix',
  },
  async () => {
    using machine = await withPatch();
    await lose(machine, 1);
    panic(machine, 'vulnerable_driver');
    assert.deepEqual(await lose(machine, 1), []);
    assert.ok(machine.names().includes('one'));
    return 'a crash record blocks only the patches that its stack trace names';
  },
);

attack(
  {
    area: 'boot guard',
    attacker: 'channel key',
    how: 'uninstall and install a package again, so that the guard forgets that its patch crashed this machine',
  },
  async () => {
    using machine = await withPatch();
    await lose(machine, 1);
    panic(machine, 'one');
    assert.deepEqual(await lose(machine, 1), ['one']);
    await uninstallPatch(machine, 'one', { unattended: true }, report);
    const file = machine.module({ name: 'one' });
    return provokes('patch-crashed', () => installModule(machine, file, { unattended: true }, report));
  },
);

test('a person can install a patch that crashed, with --again only', async () => {
  using machine = await withPatch();
  await lose(machine, 4);
  await uninstallPatch(machine, 'one', {}, report);
  const file = machine.module({ name: 'one' });
  await provokes('patch-crashed', () => installModule(machine, file, {}, report));
  await installModule(machine, file, { again: true }, report);
  machine.reboot();
  assert.deepEqual((await boot(machine)).blocked, []);
});

attack(
  {
    area: 'boot guard',
    attacker: 'local user',
    how: 'put a crash record that names the fix into /var/crash, by hand or as a link, then reset the machine',
  },
  async () => {
    using machine = await withPatch();
    await lose(machine, 1);
    const text = 'RIP: 0010:f+0x1/0x2 [one]\n';
    machine.set('elsewhere/log', text);
    machine.set('crash/mine/dmesg', text);
    chmodSync(join(machine.folder, 'crash/mine/dmesg'), 0o666);
    symlinkSync(join(machine.folder, 'elsewhere/log'), join(machine.folder, 'crash/dmesg-link'));
    machine.set('elsewhere/dmesg', text);
    symlinkSync(join(machine.folder, 'elsewhere'), join(machine.folder, 'crash/folder'));
    // As root the test can give a file away; otherwise the first record stands for it.
    if (process.geteuid?.() === 0) {
      machine.set('crash/theirs/dmesg', text);
      chownSync(join(machine.folder, 'crash/theirs/dmesg'), 1000, 1000);
    }
    const since = new Date(0);
    assert.deepEqual(crashEvidence(machine, since), { modules: [] });
    assert.deepEqual(await lose(machine, 1), []);
    return 'a record counts only if root owns it, nobody else can write it, and no link leads to it';
  },
);

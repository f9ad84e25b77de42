import assert from 'node:assert/strict';
import { chmodSync, chownSync, existsSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentReporter } from '#kpatch/base/report.ts';
import { incidentsOf } from '#kpatch/fleet/incidents.ts';
import {
  type BootResult,
  loadAll,
  markDown,
  markSurvived,
  personAtWork,
  watchFromNowOn,
  watchNoMore,
} from '#kpatch/host/boot/boot.ts';
import { crashEvidence, modulesInTraces } from '#kpatch/host/boot/crash-evidence.ts';
import { readGuard, updateWaits } from '#kpatch/host/boot/guard.ts';
import { statusOf } from '#kpatch/host/status.ts';
import { installAgain, installModule, uninstallPatch } from '#kpatch/host/store/install.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';
import { FakeMachine, RELEASE } from './fake.ts';

const report = silentReporter();
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const boot = (machine: FakeMachine): Promise<BootResult> => loadAll(machine, { guarded: true }, report);

/** Boots that end by a reset within minutes, which leaves no trace. Gives what the last one blocked. */
async function lose(machine: FakeMachine, times: number): Promise<readonly string[]> {
  let blocked: readonly string[] = [];
  for (let i = 0; i < times; i++) {
    machine.reboot();
    ({ blocked } = await boot(machine));
  }
  return blocked;
}

/** What the kernel leaves in pstore when it dies. */
function panic(machine: FakeMachine, module: string): void {
  const text = `<4>Oops: 0002 [#1] PREEMPT SMP
<4>RIP: 0010:meminfo_proc_show+0x10/0x20 [${module}]
<4>Modules linked in: other_module(K) ${module}(K)
<4> seq_read_iter+0x11a/0x4b0
`;
  machine.set('pstore/dmesg-efi-1', text);
  const at = machine.clock.date();
  utimesSync(join(machine.folder, 'pstore/dmesg-efi-1'), at, at);
}

async function withPatch(): Promise<FakeMachine> {
  const machine = new FakeMachine();
  await installModule(machine, machine.module({ name: 'one' }), {}, report);
  return machine;
}

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

/** Installs as an update does, and loses the machine while the module is loaded. */
async function crashedByUpdate(machine: FakeMachine, name: string, version: number): Promise<void> {
  const file = join(machine.store, RELEASE, '.boot.json');
  let then: Buffer | undefined;
  const { insmod } = machine.control;
  machine.control.insmod = async () => {
    then = readFileSync(file);
    return { ok: false, message: 'lost' };
  };
  const module = machine.module({ name, manifest: { version } });
  await provokes('load-failed', () => installModule(machine, module, { unattended: true }, report));
  const { trying } = readGuard(machine, RELEASE);
  assert.ok(
    !(trying?.patches ?? []).some((patch) => patch.name === name),
    'a load that fails without harm ends its trial',
  );
  machine.control.insmod = insmod;
  writeFileSync(file, then!);
  machine.reboot();
}
/** What passes before an update tries a patch again whose boot was lost. */
const WAIT = 7 * HOUR;
const endedWith = (machine: FakeMachine): string[][] =>
  (readGuard(machine, RELEASE).ended ?? []).map(({ patches }) => patches.map(({ name }) => name));

test('a patch that crashes the machine while an update loads it is found by the next boot; the one before stays', async () => {
  using machine = await withPatch();
  await boot(machine);
  await markSurvived(machine);
  await crashedByUpdate(machine, 'two', 2);
  await boot(machine);
  assert.deepEqual(machine.names(), ['one']);
  assert.deepEqual(endedWith(machine), [['two']]);
  const reported = incidentsOf(machine, RELEASE, 'now', [], []);
  assert.deepEqual(
    reported.map(({ kind, patch }) => [kind, patch]),
    [['crash', readGuard(machine, RELEASE).ended![0]!.patches[0]!.sha256]],
  );
  await markSurvived(machine);
  assert.deepEqual(
    incidentsOf(machine, RELEASE, 'now', [], []),
    reported,
    'it is reported also when the boot has survived',
  );
  machine.now += 3 * DAY;
  await markDown(machine);
  machine.reboot();
  await boot(machine);
  assert.deepEqual(incidentsOf(machine, RELEASE, 'now', [], []), [], 'for two days');
});

test('the first patch of a machine crashes it: also then the next boot knows', async () => {
  using machine = new FakeMachine();
  await crashedByUpdate(machine, 'one', 1);
  await boot(machine);
  assert.deepEqual(endedWith(machine), [['one']]);
});

test('an update that crashes the machine at each attempt is blocked, although the boots in between survive', async () => {
  using machine = await withPatch();
  const again = (): Promise<unknown> =>
    installModule(machine, machine.module({ name: 'two', manifest: { version: 2 } }), { unattended: true }, report);
  for (let count = 0; count < 3; count++) {
    await crashedByUpdate(machine, 'two', 2);
    await boot(machine);
    await markSurvived(machine);
    assert.equal(readGuard(machine, RELEASE).lost?.length, count + 1);
    machine.now += WAIT;
  }
  await provokes('patch-crashed', again);
  machine.now += 2 * DAY;
  await again();
  await markSurvived(machine);
  assert.deepEqual(readGuard(machine, RELEASE).lost, [], 'a boot that survives with it clears it');
});

test('a machine of a fleet notes how each boot ends, also without a patch; any other machine does not', async () => {
  using machine = new FakeMachine();
  const watched = async (): Promise<void> => {
    machine.reboot();
    machine.now += 60_000;
    await loadAll(machine, { guarded: true, watched: true }, report);
  };
  await boot(machine);
  await lose(machine, 1);
  assert.equal(existsSync(join(machine.store, RELEASE)), false);
  await watched();
  assert.deepEqual(endedWith(machine), [], 'the boots before were not watched');
  assert.equal(statusOf(machine).onTrial, false, 'there is nothing to try');
  await watched();
  assert.deepEqual(endedWith(machine), [[]], 'lost within minutes');
  await markSurvived(machine);
  await watched();
  assert.deepEqual(endedWith(machine), [[], []], 'lost much later');
  const reported = incidentsOf(machine, RELEASE, 'now', [], []);
  assert.deepEqual(
    reported.map(({ kind, patch }) => [kind, patch]),
    [
      ['crash', undefined],
      ['crash', undefined],
    ],
  );
  assert.match(reported[0]!.text, /ended before it counted as survived, with no live patch/);
  assert.match(reported[1]!.text, /ended without an orderly shutdown, with no live patch/);
  await markDown(machine);
  await watched();
  assert.equal(endedWith(machine).length, 2, 'an orderly shutdown is none');
  await watchNoMore(machine);
  assert.equal(existsSync(join(machine.store, RELEASE)), false, 'nothing is left of it');
});

test('a machine that joins a fleet is watched at once, if something notes its shutdown; what it has to guard stays when it leaves', async () => {
  using machine = new FakeMachine();
  machine.isWatched = false;
  await watchFromNowOn(machine);
  assert.equal(existsSync(join(machine.store, RELEASE)), false, 'each reboot would look like a crash');
  machine.isWatched = true;
  await watchFromNowOn(machine);
  await watchFromNowOn(machine);
  machine.reboot();
  await loadAll(machine, { guarded: true, watched: true }, report);
  assert.deepEqual(endedWith(machine), [[]]);
  await installModule(machine, machine.module({ name: 'one' }), {}, report);
  await watchNoMore(machine);
  assert.deepEqual(endedWith(machine), [[]]);
});

test('an update that may have crashed the machine is not tried again by an update for six hours; a person may, and a clock that is set back does not hold it', async () => {
  using machine = await withPatch();
  await crashedByUpdate(machine, 'two', 2);
  await boot(machine);
  await markSurvived(machine);
  const install = (unattended: boolean): Promise<unknown> =>
    installModule(machine, machine.module({ name: 'two', manifest: { version: 2 } }), { unattended }, report);
  const refused = await provokes('patch-waits', () => install(true));
  assert.match(
    refused.message,
    /^automatic updates do not install two before \S+: the boot of \S+, in which one loaded it, was lost$/,
  );
  assert.deepEqual(machine.names(), ['one']);
  machine.now += 6 * HOUR - 1000;
  await provokes('patch-waits', () => install(true));
  const { sha256 } = readGuard(machine, RELEASE).lost![0]!.patches[0]!;
  assert.ok(updateWaits(machine, RELEASE, sha256) !== undefined);
  machine.now += 2000;
  assert.equal(updateWaits(machine, RELEASE, sha256), undefined);
  machine.now -= DAY;
  assert.equal(updateWaits(machine, RELEASE, sha256), undefined, 'a clock that was set back holds nothing');
  machine.now += DAY - 2000;
  await install(false);
  assert.deepEqual(machine.names(), ['two']);
});

test('three updates that crash the machine block the patch; where nothing notes the shutdown, or a person looks on, there is no trial', async () => {
  using machine = await withPatch();
  for (let count = 0; count < 3; count++) {
    await crashedByUpdate(machine, 'two', 2);
    await boot(machine);
    machine.now += WAIT;
  }
  await provokes('patch-crashed', () =>
    installModule(machine, machine.module({ name: 'two', manifest: { version: 2 } }), { unattended: true }, report),
  );
  await markDown(machine);
  machine.isWatched = false;
  await installModule(
    machine,
    machine.module({ name: 'three', manifest: { version: 3 } }),
    { unattended: true },
    report,
  );
  machine.isWatched = true;
  await installModule(
    machine,
    machine.module({ name: 'four', manifest: { version: 4 } }),
    { unattended: false },
    report,
  );
  assert.equal(readGuard(machine, RELEASE).trying, undefined);
});

test('a machine that goes down long after its trial, without an orderly shutdown, is reported with what it ran; nothing is blocked', async () => {
  using machine = await withPatch();
  for (let count = 0; count < 4; count++) {
    await boot(machine);
    await markSurvived(machine);
    machine.now += 3_600_000;
    machine.reboot();
  }
  assert.deepEqual((await boot(machine)).blocked, []);
  assert.deepEqual(endedWith(machine), [['one'], ['one'], ['one'], ['one']]);
  const [incident] = incidentsOf(machine, RELEASE, 'now', [], []);
  assert.match(incident!.text, /ended without an orderly shutdown, with one: no crash record was found/);
  await markDown(machine);
  machine.reboot();
  await boot(machine);
  assert.equal(endedWith(machine).length, 4, 'an orderly shutdown is none');
});

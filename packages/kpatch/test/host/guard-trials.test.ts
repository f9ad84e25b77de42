/** The guard between boots: what updates try, what else ends a boot, and who hears of it. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { incidentsOf } from '#kpatch/fleet/incidents.ts';
import { loadAll, markDown, markSurvived, watchFromNowOn, watchNoMore } from '#kpatch/host/boot/boot.ts';
import { readGuard, updateWaits } from '#kpatch/host/boot/guard.ts';
import { statusOf } from '#kpatch/host/status.ts';
import { installModule } from '#kpatch/host/store/install.ts';
import { installedPatches } from '#kpatch/host/store/store.ts';
import { provokes } from '../provoke.ts';
import { FakeMachine, RELEASE } from './fake.ts';
import { boot, DAY, HOUR, lose, report, withPatch } from './guard-machine.ts';

/** Installs a version of the cumulative patch: as an update does, or as a person. */
function install(machine: FakeMachine, name: string, version: number, unattended = true): Promise<unknown> {
  return installModule(machine, machine.module({ name, manifest: { version } }), { unattended }, report);
}

/** Installs as an update does, and loses the machine while the module is loaded. */
async function crashedByUpdate(machine: FakeMachine, name: string, version: number): Promise<void> {
  const file = join(machine.store, RELEASE, '.boot.json');
  let then: Buffer | undefined;
  const { insmod } = machine.control;
  machine.control.insmod = async () => {
    then = readFileSync(file);
    return { ok: false, message: 'lost' };
  };
  await provokes('load-failed', () => install(machine, name, version));
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
  const again = (): Promise<unknown> => install(machine, 'two', 2);
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
  const again = (unattended: boolean): Promise<unknown> => install(machine, 'two', 2, unattended);
  const refused = await provokes('patch-waits', () => again(true));
  assert.match(
    refused.message,
    /^automatic updates do not install two before \S+: the boot of \S+, in which one loaded it, was lost$/,
  );
  assert.deepEqual(machine.names(), ['one']);
  machine.now += 6 * HOUR - 1000;
  await provokes('patch-waits', () => again(true));
  const { sha256 } = readGuard(machine, RELEASE).lost![0]!.patches[0]!;
  assert.ok(updateWaits(machine, RELEASE, sha256) !== undefined);
  machine.now += 2000;
  assert.equal(updateWaits(machine, RELEASE, sha256), undefined);
  machine.now -= DAY;
  assert.equal(updateWaits(machine, RELEASE, sha256), undefined, 'a clock that was set back holds nothing');
  machine.now += DAY - 2000;
  await again(false);
  assert.deepEqual(machine.names(), ['two']);
});

test('three updates that crash the machine block the patch; where nothing notes the shutdown, or a person looks on, there is no trial', async () => {
  using machine = await withPatch();
  for (let count = 0; count < 3; count++) {
    await crashedByUpdate(machine, 'two', 2);
    await boot(machine);
    machine.now += WAIT;
  }
  await provokes('patch-crashed', () => install(machine, 'two', 2));
  await markDown(machine);
  machine.isWatched = false;
  await install(machine, 'three', 3);
  machine.isWatched = true;
  await install(machine, 'four', 4, false);
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

test('a machine that was lost with one kernel and boots another knows that at once, once, and a fleet hears of it', async () => {
  using machine = await withPatch();
  const other = '6.1.0-99-amd64';
  const sha256 = installedPatches(machine, RELEASE)[0]!.sha256;
  const crashes = (): unknown[] =>
    incidentsOf(machine, other, 'now', [], []).map(({ kind, kernel, patch, text }) => [
      kind,
      kernel,
      patch,
      /with one/.test(text),
    ]);
  for (let count = 1; count <= 3; count++) {
    assert.deepEqual((await boot(machine)).blocked, []);
    machine.reboot();
    machine.set('proc/sys/kernel/osrelease', other);
    await boot(machine);
    assert.equal(readGuard(machine, RELEASE).trying, undefined, 'nothing is tried with the kernel that does not run');
    assert.deepEqual(crashes(), Array(count).fill(['crash', RELEASE, sha256, true]));
    assert.equal(existsSync(join(machine.store, other)), false, 'nothing is noted for the kernel that was not lost');
    await boot(machine);
    await markDown(machine);
    machine.reboot();
    machine.set('proc/sys/kernel/osrelease', RELEASE);
  }
  assert.deepEqual((await boot(machine)).blocked, ['one'], 'the attempts count as if that kernel had booted again');
  assert.equal(endedWith(machine).length, 3);
});

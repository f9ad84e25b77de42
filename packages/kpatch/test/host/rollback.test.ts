import assert from 'node:assert/strict';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentReporter } from '#kpatch/base/report.ts';
import { loadedPatches } from '#kpatch/host/live/livepatches.ts';
import { loadModule } from '#kpatch/host/live/load.ts';
import { planRollback, rollBack, rollbackSteps } from '#kpatch/host/rollback.ts';
import { installModule } from '#kpatch/host/store/install.ts';
import { readModuleFile } from '#kpatch/host/store/module-file.ts';
import { installedPatches } from '#kpatch/host/store/store.ts';
import { unwantedOf } from '#kpatch/host/store/unwanted.ts';
import { provokes } from '../provoke.ts';
import { FakeMachine, RELEASE } from './fake.ts';

const report = silentReporter();

const active = (machine: FakeMachine): string[] =>
  loadedPatches(machine).flatMap((one) => (one.enabled ? one.name : []));
const installed = (machine: FakeMachine): string[] => installedPatches(machine, RELEASE).map(({ name }) => name);

/** A machine on which version 2 replaced version 1. */
async function upgraded(): Promise<FakeMachine> {
  const machine = new FakeMachine();
  for (const version of [1, 2]) {
    const file = machine.module({ name: `fix_${version}`, manifest: { version } });
    await installModule(machine, file, {}, report);
  }
  return machine;
}

test('an installed patch goes back to the one that it replaced, and a second rollback goes forward', async () => {
  using machine = await upgraded();
  const plan = planRollback(machine);
  assert.deepEqual(rollbackSteps(plan), [
    'load fix_1, which replaces fix_2 in one step',
    `install fix_1 for ${RELEASE} instead of fix_2`,
    'keep updates from installing fix_2 again',
  ]);
  assert.deepEqual([active(machine), installed(machine)], [['fix_2'], ['fix_2']], 'a plan changes nothing');
  await rollBack(machine, plan, {}, report);
  assert.deepEqual([active(machine), installed(machine)], [['fix_1'], ['fix_1']]);
  assert.deepEqual(
    unwantedOf(machine, RELEASE).map(({ name }) => name),
    ['fix_2'],
  );
  await rollBack(machine, planRollback(machine), {}, report);
  assert.deepEqual([active(machine), installed(machine)], [['fix_2'], ['fix_2']]);
});

test('a patch that is only loaded goes back to the installed one', async () => {
  using machine = new FakeMachine();
  await installModule(machine, machine.module({ name: 'fix_1', manifest: { version: 1 } }), {}, report);
  await loadModule(machine, readModuleFile(machine.module({ name: 'fix_2', manifest: { version: 2 } })), {}, report);
  const plan = planRollback(machine);
  assert.deepEqual([plan.from, plan.to.name, plan.installed], ['fix_2', 'fix_1', false]);
  await rollBack(machine, plan, {}, report);
  assert.deepEqual([active(machine), installed(machine)], [['fix_1'], ['fix_1']]);
});

test('no-previous: a first patch, an image, a record that others could have written', async () => {
  using machine = new FakeMachine();
  await installModule(machine, machine.module({ name: 'fix_1' }), {}, report);
  await provokes('no-previous', () => planRollback(machine));
  using other = await upgraded();
  const record = join(other.store, RELEASE, '.previous/record.json');
  assert.ok(existsSync(record));
  chmodSync(record, 0o666);
  await provokes('no-previous', () => planRollback(other));
  chmodSync(record, 0o644);
  writeFileSync(record, '{"schema":"kpatch.previous/1","by":"x","name":"a","file":"../../x.ko","sha256":"y"}');
  await provokes('no-previous', () => planRollback(other));
});

test('the host policy and the digest of the kept module hold for a rollback too', async () => {
  using machine = await upgraded();
  const plan = planRollback(machine);
  writeFileSync(plan.to.path, 'something else');
  await provokes('store-damaged', () => rollBack(machine, plan, {}, report));
  assert.deepEqual([active(machine), installed(machine)], [['fix_2'], ['fix_2']]);
  using strict = await upgraded();
  strict.set('etc/host-policy.json', JSON.stringify({ schema: 'kpatch.host-policy/1', updates: 'nonsense' }));
  await provokes('policy-unusable', () => rollBack(strict, planRollback(strict), {}, report));
});

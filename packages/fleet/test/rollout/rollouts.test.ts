/** A rollout on a server with signed reports: rings move in order, a bad patch is halted, people pause, freeze and roll back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FleetAnswer } from 'kpatch/fleet';
import { createApiToken } from '#fleet/access/accounts.ts';
import { commandLine } from '#fleet/access/audit.ts';
import { createRollout, freeze, rollBack, stepRollout, unfreeze } from '#fleet/rollout/commands.ts';
import { parsePlan } from '#fleet/rollout/plan-file.ts';
import { readRollouts, type StoredRollout } from '#fleet/rollout/store.ts';
import { noteSilent } from '#fleet/server/housekeeping.ts';
import { SimulatedHost } from '#fleet/simulate/host.ts';
import { provokes } from '../../../kpatch/test/provoke.ts';
import { TestFleet } from '../world.ts';

const kernel = '6.1.0-47-amd64';
const [old, next] = ['a'.repeat(64), 'b'.repeat(64)];
const patch = (sha256: string) => ({ name: 'livepatch_x', sha256, version: 2 });
const rings = parsePlan(
  JSON.stringify({
    schema: 'kpatch.fleet-plan/1',
    rings: [
      { name: 'canary', labels: ['canary'], soakHours: 1 },
      { name: 'all', share: 1, soakHours: 1 },
    ],
  }),
  'plan',
).rings;

class Machines {
  readonly world: TestFleet;
  readonly hosts: SimulatedHost[] = [];
  /** Of the canaries, how many crash when they load the release. */
  crashes = 0;

  constructor(world: TestFleet) {
    this.world = world;
  }

  async join(count: number, canaries: number): Promise<void> {
    for (let at = 0; at < count; at++) {
      const host = new SimulatedHost(`host-${at}`, kernel);
      host.patch = patch(old);
      await this.world.join(host, at < canaries ? ['canary'] : []);
      this.hosts.push(host);
    }
  }

  /** Every host reports, takes what it is offered, and the server looks. */
  async round(minutes = 5): Promise<void> {
    await Promise.all(this.hosts.map((host) => this.report(host)));
    this.world.now += minutes * 60_000;
    await this.world.fleet.rollouts.look();
  }

  async report(host: SimulatedHost): Promise<void> {
    const { status, body } = await this.world.post('/v1/report', host.sealed(new Date(this.world.now)));
    assert.equal(status, 200, String(body.error));
    const answer = body as FleetAnswer;
    host.heard(answer);
    const [choice] = answer.choices;
    if (choice === undefined || choice.sha256 === host.patch?.sha256) return;
    // After a crash, the boot guard of a host does not load the patch again.
    if (host.incidents.length > 0 && choice.sha256 === next) return;
    if (choice.sha256 === next && this.crashes > 0) {
      this.crashes--;
      host.incidents = [
        {
          kind: 'crash',
          key: 'boot',
          at: new Date(this.world.now).toISOString(),
          patch: next,
          text: 'a boot was lost',
        },
      ];
    } else host.patch = patch(choice.sha256);
  }

  having(digest: string): number {
    return this.hosts.filter((host) => host.patch?.sha256 === digest).length;
  }
}

async function started(world: TestFleet): Promise<string> {
  const plan = { title: '<b>fix</b>', kernel, release: next, previous: old, watchSeconds: 3600, rings };
  const id = await createRollout(world.database, commandLine, plan, world.now);
  await stepRollout(world.database, commandLine, id, 'start', '', world.now);
  return id;
}
const stored = async (world: TestFleet, id: string): Promise<StoredRollout> =>
  (await readRollouts(world.database, id))[0]!;

test('canaries first, then all; the chart has points; it finishes; silence is noted', async () => {
  await using world = await TestFleet.open();
  const machines = new Machines(world);
  await machines.join(12, 3);
  await machines.round();
  const id = await started(world);
  for (let round = 0; round < 4; round++) await machines.round();
  assert.deepEqual([machines.having(next), machines.having(old)], [3, 9]);
  const soaking = await stored(world, id);
  assert.deepEqual(
    soaking.rings.map(({ state }) => state),
    ['soaking', 'waiting'],
  );
  assert.ok(soaking.look!.because.some(({ code }) => code === 'soaking'));
  for (let round = 0; round < 24; round++) await machines.round(15);
  assert.equal(machines.having(next), 12);
  assert.equal((await stored(world, id)).state, 'finished');
  const kinds = await world.database.query<{ kind: string }>(
    'select distinct kind from fleet.rollout_event order by 1',
  );
  assert.deepEqual(
    kinds.map(({ kind }) => kind),
    ['complete', 'create', 'finish', 'look', 'open', 'settle', 'start'],
  );
  // A host that goes silent counts once, with the patch that it had.
  const silent = machines.hosts.pop()!;
  const since = new Date(world.now - 20 * 60_000);
  for (let round = 0; round < 5; round++) await machines.round();
  await noteSilent(world.database, 300, since, new Date(world.now), (host) => world.fleet.rollouts.labelFor(host));
  const rows = await world.database.query("select host, patch from fleet.incident where kind = 'missing'");
  assert.deepEqual(rows, [{ host: silent.key.id, patch: next }]);
});

test('two canaries crash: halted, no other host is offered it, the reason names the crashes', async () => {
  await using world = await TestFleet.open();
  const machines = new Machines(world);
  await machines.join(12, 3);
  for (let round = 0; round < 3; round++) await machines.round();
  const id = await started(world);
  machines.crashes = 2;
  for (let round = 0; round < 20; round++) await machines.round();
  const { state, reason } = await stored(world, id);
  assert.equal(state, 'halted');
  assert.match(reason, /^The release harms hosts: crashes on 2 patched hosts/);
  assert.equal(machines.having(next), 1);
  assert.deepEqual(
    await world.database.query(
      "select 1 from fleet.checkin c join fleet.host h on h.id = c.host where c.patch = $1 and not 'canary' = any(h.labels)",
      [next],
    ),
    [],
  );
  await rollBack(world.database, commandLine, id, ['canary'], 'it crashes', world.now);
  await machines.round();
  await machines.round();
  assert.equal(machines.having(next), 0);
});

test('a host that joins after a halt gets the release before; a finished rollout is still halted by evidence', async () => {
  await using world = await TestFleet.open();
  const machines = new Machines(world);
  await machines.join(12, 3);
  await machines.round();
  const first = await started(world);
  for (let round = 0; round < 28; round++) await machines.round(15);
  assert.equal((await stored(world, first)).state, 'finished');
  const third = 'c'.repeat(64);
  const plan = { title: '', kernel, release: third, previous: next, watchSeconds: 0, rings };
  const second = await createRollout(world.database, commandLine, plan, world.now);
  await stepRollout(world.database, commandLine, second, 'start', '', world.now);
  await stepRollout(world.database, commandLine, second, 'halt', 'it is slow', world.now);
  await machines.join(1, 0);
  const late = machines.hosts.at(-1)!;
  late.patch = undefined;
  for (let round = 0; round < 3; round++) await machines.round();
  assert.equal(machines.having(next), 13);
  // A patch that came from elsewhere is not replaced by an older one.
  await machines.join(1, 0);
  machines.hosts.at(-1)!.patch = patch('d'.repeat(64));
  for (let round = 0; round < 3; round++) await machines.round();
  assert.equal(machines.having('d'.repeat(64)), 1);
  for (const host of machines.hosts.slice(0, 5))
    host.incidents = [
      { kind: 'crash', key: 'late', at: new Date(world.now).toISOString(), patch: next, text: 'a boot was lost' },
    ];
  for (let round = 0; round < 6; round++) await machines.round();
  const { state, reason } = await stored(world, first);
  assert.equal(state, 'halted');
  // The one unpatched host may have no time in this hour yet: then the burst counts as two (see countedEvents).
  assert.match(reason, /crashes on [25] patched hosts/);
  // It is no longer offered; who has it keeps it.
  await machines.join(1, 0);
  machines.hosts.at(-1)!.patch = undefined;
  for (let round = 0; round < 3; round++) await machines.round();
  assert.equal(machines.hosts.at(-1)!.patch, undefined);
  assert.equal(machines.having(next), 13);
});

test('pause, freeze and unfreeze; steps that are not possible are refused with the reason; all of it is in the audit log', async () => {
  await using world = await TestFleet.open();
  const machines = new Machines(world);
  await machines.join(4, 2);
  await machines.round();
  const id = await started(world);
  await freeze(world.database, commandLine, 'year-end', undefined, world.now);
  for (let round = 0; round < 3; round++) await machines.round();
  assert.equal(machines.having(next), 0);
  await unfreeze(world.database, commandLine);
  await stepRollout(world.database, commandLine, id, 'pause', 'lunch', world.now);
  for (let round = 0; round < 3; round++) await machines.round();
  assert.equal(machines.having(next), 0);
  await stepRollout(world.database, commandLine, id, 'resume', '', world.now);
  for (let round = 0; round < 3; round++) await machines.round();
  assert.equal(machines.having(next), 2);
  const again = await provokes('fleet-rollout', () => stepRollout(world.database, commandLine, id, 'start', ''));
  assert.match(again.message, /it is running/);
  for (const wrong of ['', 'x', '999', "1'"])
    await provokes('fleet-no-rollout', () => stepRollout(world.database, commandLine, wrong, 'halt', ''));
  await provokes('fleet-rollout', () => rollBack(world.database, commandLine, id, ['none'], ''));
  const second = createRollout(world.database, commandLine, {
    title: '',
    kernel,
    release: old,
    previous: '',
    watchSeconds: 0,
    rings,
  });
  const other = await second;
  await provokes('fleet-rollout', () => stepRollout(world.database, commandLine, other, 'start', ''));
  const actions = await world.database.query<{ action: string }>(
    "select action from fleet.audit where action ~ 'rollout|freeze' order by id",
  );
  assert.deepEqual(
    actions.map(({ action }) => action),
    ['rollout-create', 'rollout-start', 'freeze', 'unfreeze', 'rollout-pause', 'rollout-resume', 'rollout-create'],
  );
});

test('the API plans, starts, freezes and rolls back; a viewer only reads', async () => {
  await using world = await TestFleet.open();
  const tokens: Record<string, string> = {};
  for (const role of ['viewer', 'operator'])
    tokens[role] = (await createApiToken(world.database, commandLine, { name: role, role, days: 1 })).token;
  const call = async (role: string, method: 'GET' | 'POST' | 'DELETE', url: string, payload: object = {}) => {
    const headers = { authorization: `Bearer ${tokens[role]}` };
    const answer = await world.fleet.server.inject({ method, url, headers, ...(method === 'POST' ? { payload } : {}) });
    return { status: answer.statusCode, body: answer.json() };
  };
  const plan = { kernel, release: next, previous: old };
  assert.equal((await call('viewer', 'POST', '/api/rollouts', plan)).status, 403);
  assert.equal((await call('operator', 'POST', '/api/rollouts', { ...plan, release: 'x' })).status, 400);
  assert.equal((await call('operator', 'POST', '/api/rollouts', { ...plan, plan: { rings: [] } })).status, 409);
  const { id } = (await call('operator', 'POST', '/api/rollouts', plan)).body;
  assert.equal((await call('operator', 'POST', `/api/rollouts/${id}/start`)).body.state, 'running');
  assert.match((await call('operator', 'POST', `/api/rollouts/${id}/start`)).body.error, /it is running/);
  assert.equal((await call('operator', 'POST', '/api/freeze', { reason: 'audit', hours: 1 })).status, 200);
  assert.equal((await call('operator', 'DELETE', '/api/freeze')).status, 200);
  assert.equal(
    (await call('operator', 'POST', `/api/rollouts/${id}/roll-back`, { reason: 'x' })).body.state,
    'rolled back',
  );
  assert.equal((await call('viewer', 'GET', '/api/rollouts')).body.rollouts.length, 1);
  assert.equal((await call('viewer', 'GET', '/api/rollouts/77')).status, 404);
  for (const step of ['start', 'roll-back'])
    assert.equal((await call('operator', 'POST', `/api/rollouts/77/${step}`, { reason: '' })).status, 404);
});

test('plans: what is wrong is named', async () => {
  const plan = (ring: object): string => JSON.stringify({ schema: 'kpatch.fleet-plan/1', rings: [ring] });
  for (const [text, problem] of [
    ['{', /JSON/],
    ['{}', /schema/],
    [
      plan({ name: 'a', share: 1, windows: [{ from: '25:00', to: '26:00' }] }),
      /rings\.0\.windows\.0\.from: a time such as 22:00/,
    ],
    [plan({ name: 'a', colour: 1 }), /rings\.0\.colour/],
  ] as const)
    assert.match((await provokes('fleet-rollout', () => parsePlan(text, 'p'))).message, problem);
});

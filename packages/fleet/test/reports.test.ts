/** Reports: copies, restored machines, replays, forgeries, clocks, floods, hostile texts. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { sealReport } from 'kpatch/fleet';
import { SimulatedHost } from '#fleet/simulate/host.ts';
import { TestFleet } from './world.ts';

const kernel = '6.1.0-47-amd64';
const patch = { name: 'livepatch_1', sha256: 'a'.repeat(64), version: 1 };
// Making an embedded database takes seconds, so all tests share one; each has hosts of its own.
const world = await TestFleet.open();
after(() => world[Symbol.asyncDispose]());

async function joined(name: string): Promise<SimulatedHost> {
  const host = new SimulatedHost(name, kernel);
  await world.join(host);
  return host;
}

test('a report is stored, the names of modules are sent once, and the history has a row for each change', async () => {
  const host = await joined('plain');
  const first = await world.report(host);
  assert.equal(first.standing, 'normal');
  assert.match(first.modules, /^[0-9a-f]{64}$/);
  const second = host.sealed(new Date(world.now + 1));
  assert.ok(second.length < 1500, `a report has ${second.length} bytes`);
  assert.equal((await world.post('/v1/report', second)).status, 200);
  host.patch = patch;
  await world.report(host);
  const row = await world.one('select * from fleet.checkin where host = $1', [host.key.id]);
  assert.equal(row.patch, patch.sha256);
  assert.equal(row.reports, 3);
  assert.equal((await world.one('select count(*)::int as n from fleet.report where host = $1', [host.key.id])).n, 2);
});

test('attack on fleet: a host cannot name the modules of the others', async () => {
  const liar = await joined('liar');
  const digest = 'f'.repeat(64);
  const answer = await world.report(liar, { modules: { digest, names: ['not_theirs'] } });
  assert.equal(answer.modules, '', 'the server still asks for the names');
  assert.deepEqual(await world.one('select 1 from fleet.module_set where digest = $1', [digest]), {});
});

test('a report that is sent twice because its answer was lost counts once', async () => {
  const host = await joined('twice');
  const sealed = host.sealed(new Date(world.now));
  assert.equal((await world.post('/v1/report', sealed)).status, 200);
  const again = await world.post('/v1/report', sealed);
  assert.equal(again.status, 200);
  assert.equal(again.body.taken, 1);
  assert.equal((await world.one('select reports from fleet.checkin where host = $1', [host.key.id])).reports, 1);
});

test('attack on fleet: a report of an earlier state is sent again', async () => {
  const host = await joined('replayed');
  host.patch = patch;
  const old = host.sealed(new Date(world.now));
  await world.post('/v1/report', old);
  host.patch = undefined;
  await world.report(host);
  const replay = await world.post('/v1/report', old);
  assert.equal(replay.status, 409);
  assert.equal(replay.body.standing, 'normal', 'the machine itself did nothing wrong');
  assert.equal((await world.one('select patch from fleet.checkin where host = $1', [host.key.id])).patch, '');
  assert.equal((await world.report(host)).standing, 'normal');
});

test('a machine that is restored from a snapshot goes on, and is called restored', async () => {
  const host = await joined('restored');
  await world.report(host);
  const snapshot = host.copy();
  for (let count = 0; count < 3; count++) await world.report(host);
  snapshot.boot++;
  const answer = await world.report(snapshot);
  assert.equal(answer.standing, 'restored');
  assert.equal(answer.counter, 4, 'it goes on where the server is');
  assert.equal((await world.report(snapshot)).standing, 'restored');
  assert.equal((await world.report(snapshot.copy())).standing, 'restored');
  // A second time from the same snapshot is no clone either.
  const again = snapshot.copy();
  again.counter = 1;
  again.link = 'f'.repeat(32);
  assert.equal((await world.report(again)).standing, 'restored');
});

test('reports that a restored machine signed before it heard the answer are not lost', async () => {
  const host = await joined('restored with an outbox');
  await world.report(host);
  const snapshot = host.copy();
  for (let count = 0; count < 5; count++) await world.report(host);
  world.now += 300_000;
  const waiting = [1, 2, 3].map((at) => snapshot.sealed(new Date(world.now + at)));
  for (const sealed of waiting) assert.equal((await world.post('/v1/report', sealed)).status, 200);
  assert.equal((await world.one('select reports from fleet.checkin where host = $1', [host.key.id])).reports, 9);
});

test('attack on fleet: two copies of one machine report side by side', async () => {
  const host = await joined('cloned');
  await world.report(host);
  const clone = host.copy();
  assert.equal((await world.report(host)).standing, 'normal');
  assert.equal((await world.report(clone)).standing, 'restored', 'one branch could still be a restored machine');
  const answer = await world.report(host);
  assert.equal(answer.standing, 'cloned', 'both branches grow');
  assert.deepEqual(answer.choices, []);
  assert.equal((await world.report(clone)).standing, 'cloned');
  assert.equal((await world.one('select standing from fleet.host where id = $1', [host.key.id])).standing, 'cloned');
});

test('attack on fleet: a copy on other hardware is a clone at once', async () => {
  const host = await joined('copied');
  await world.report(host);
  const copy = host.copy();
  copy.machine = 'c'.repeat(64);
  await world.report(host);
  assert.equal((await world.report(copy)).standing, 'cloned');
});

test('a machine that dropped reports while the server was away is not called a copy', async () => {
  const host = await joined('away');
  await world.report(host);
  for (let count = 0; count < 5; count++) host.report();
  assert.equal((await world.report(host)).standing, 'normal');
});

test('clocks that jump: the chain decides, not the time', async () => {
  const host = await joined('clock');
  const year = 365 * 86_400_000;
  for (const jump of [0, year, -year, 0, -50 * year]) {
    const { status, body } = await world.post('/v1/report', host.sealed(new Date(world.now + jump)));
    assert.deepEqual([status, body.standing], [200, 'normal']);
  }
  const row = await world.one('select skew, seen from fleet.checkin where host = $1', [host.key.id]);
  assert.equal((row.seen as Date).getTime(), world.now, 'the time of the server counts');
  assert.ok(Number(row.skew) < -1_000_000);
  // The clock of the server goes back: no time is counted as observed, and nothing fails.
  world.now -= 3_600_000;
  assert.equal((await world.report(host)).standing, 'normal');
  world.now += 3_600_000;
});

test('attack on fleet: forged, foreign, malformed and huge reports', async () => {
  const host = await joined('forged');
  const other = new SimulatedHost('other', kernel);
  await world.report(host);
  const count = async (): Promise<unknown> => (await world.one('select count(*)::int as n from fleet.report')).n;
  const before = await count();
  const post = async (text: string): Promise<number> => (await world.post('/v1/report', text)).status;
  const sealed = JSON.parse(host.copy().sealed()) as { payload: string; signatures: { sig: string }[] };
  const changed = Buffer.from(sealed.payload, 'base64').toString().replace('"todo":0', '"todo":9');
  assert.equal(await post(JSON.stringify({ ...sealed, payload: Buffer.from(changed).toString('base64') })), 401);
  assert.equal(await post(sealReport(host.copy().report(), other.key)), 403, 'signed by a key that did not join');
  assert.equal(await post(sealReport({ ...host.copy().report(), host: other.key.id }, host.key)), 401);
  assert.equal(await post(JSON.stringify({ ...sealed, signatures: [] })), 400);
  for (const text of ['null', '[]', '{}', '"x"', '{"payloadType":1}']) assert.equal(await post(text), 400, text);
  assert.equal(await post('{"a"'), 400);
  assert.equal(await post(`"${'x'.repeat(300_000)}"`), 413);
  const wrong: object[] = [
    { counter: -1 },
    { at: 'now' },
    { name: 'a\nb' },
    { modules: { digest: 'x' } },
    { kernel: null },
  ];
  for (const changes of wrong)
    assert.equal(await post(host.copy().sealed(new Date(), changes)), 401, JSON.stringify(changes));
  assert.equal(await count(), before);
});

test('attack on fleet: SQL, HTML and broken text in every field', async () => {
  const hostile = `'; drop table fleet.host; -- $1 \\ <script>alert("x")</script> %s {{7*7}} \u{1f4a3}`;
  const host = new SimulatedHost(hostile, hostile);
  await world.join(host);
  const patches = [{ name: hostile, state: 'enabled' as const, functions: 1 }];
  const incidents = [{ kind: 'failed' as const, key: hostile, at: new Date().toISOString(), text: hostile }];
  const changes = {
    name: hostile,
    version: hostile,
    patches,
    incidents,
    policy: hostile,
    channel: { url: hostile, problem: hostile },
  };
  assert.equal((await world.report(host, changes)).standing, 'normal');
  const row = await world.one('select kernel, patch from fleet.checkin where host = $1', [host.key.id]);
  assert.deepEqual(row, { kernel: hostile, patch: `unknown:${hostile}` });
  assert.equal((await world.one('select text from fleet.incident where host = $1', [host.key.id])).text, hostile);
  // Half of a surrogate pair is JSON but not Unicode: PostgreSQL refuses it, and only that report.
  const other = await joined('in the same batch');
  const [broken, fine] = await Promise.all([
    world.post('/v1/report', host.sealed(new Date(), { version: '\ud800', todo: 1 })),
    world.post('/v1/report', other.sealed()),
  ]);
  assert.equal(fine.status, 200);
  assert.equal(broken.status, 400);
});

test('attack on fleet: a flood from one host does not reach the others', async () => {
  const flooding = await joined('flooding');
  const quiet = await joined('quiet');
  const statuses: number[] = [];
  for (let count = 0; count < 40; count++)
    statuses.push((await world.post('/v1/report', flooding.sealed(new Date(world.now + count)))).status);
  assert.equal(statuses.filter((status) => status === 200).length, 12);
  assert.equal(statuses.filter((status) => status === 429).length, 28);
  assert.equal((await world.post('/v1/report', quiet.sealed())).status, 200);
});

test('attack on fleet: a host that sends much in few reports is stopped by its bytes', async () => {
  await using small = await TestFleet.open({ limits: { bytesPerDay: 1 << 20, reportsPerMinute: 10_000 } });
  const host = new SimulatedHost('large', kernel);
  await small.join(host);
  host.incidents = Array.from({ length: 60 }, (_, at) => {
    return { kind: 'failed' as const, key: `key ${at}`, at: new Date().toISOString(), text: 'x'.repeat(1000) };
  });
  const statuses: number[] = [];
  for (let count = 0; count < 20; count++) {
    const { status, body } = await small.post('/v1/report', host.sealed(new Date(small.now)));
    if (status === 200) host.heard(body as Parameters<typeof host.heard>[0]);
    else assert.match(body.error!, /as many bytes/);
    statuses.push(status);
  }
  const taken = statuses.filter((status) => status === 200).length;
  assert.ok(taken > 5 && taken < 18, `${taken} reports of 20 were taken`);
  small.now += 86_400_000;
  assert.equal((await small.post('/v1/report', host.sealed(new Date(small.now)))).status, 200, 'the next day');
});

test('incidents count once however often they are reported, and evidence counts the time under observation', async () => {
  const host = await joined('crashed');
  host.kernel = '6.1.0-evidence';
  host.patch = patch;
  await world.report(host);
  await world.report(host);
  host.incidents = [
    { kind: 'crash', key: 'boot-1', at: new Date(world.now).toISOString(), patch: patch.sha256, text: 'lost' },
  ];
  await world.report(host);
  await world.report(host);
  world.now += 86_400_000;
  await world.report(host);
  const rows = await world.database.query(
    'select patch, sum(seconds) as seconds, sum(crashes)::int as crashes, sum(reports)::int as reports from fleet.evidence where kernel = $1 group by patch',
    ['6.1.0-evidence'],
  );
  assert.deepEqual(
    rows,
    [{ patch: patch.sha256, seconds: 900 + 900, crashes: 1, reports: 5 }],
    'a day of silence counts as three intervals',
  );
  // The machine was lost, and another kernel tells of it.
  const at = new Date(world.now).toISOString();
  host.kernel = '6.1.0-other';
  host.incidents = [
    { kind: 'crash', key: 'boot-2', at, kernel: '6.1.0-evidence', patch: patch.sha256, text: 'lost' },
    { kind: 'crash', key: 'boot-3', at, text: 'lost' },
  ];
  await world.report(host);
  const crashes = await world.database.query(
    "select kernel, sum(crashes)::int as crashes from fleet.evidence where kernel in ('6.1.0-evidence', '6.1.0-other') group by kernel order by kernel",
  );
  assert.deepEqual(crashes, [
    { kernel: '6.1.0-evidence', crashes: 2 },
    { kernel: '6.1.0-other', crashes: 1 },
  ]);
});

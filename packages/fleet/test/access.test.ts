/** Accounts, sessions, API tokens, the API with its client, the audit log, metrics, backup and restore, retention. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { FastifyRequest } from 'fastify';
import { temporaryFolder } from 'kpatch/parts';
import { createApiToken, disableAccount, revokeApiToken, setAccount, signIn } from '#fleet/access/accounts.ts';
import { commandLine } from '#fleet/access/audit.ts';
import { sessionOf } from '#fleet/access/caller.ts';
import { ApiError, FleetClient } from '#fleet/api/client.ts';
import { routes } from '#fleet/api/routes.ts';
import { networkOf } from '#fleet/ingest/limit.ts';
import { noteSilent, prune } from '#fleet/server/housekeeping.ts';
import { SimulatedHost } from '#fleet/simulate/host.ts';
import { backup, restore } from '#fleet/store/backup.ts';
import { openDatabase } from '#fleet/store/database.ts';
import { addRelease, importCves } from '#fleet/store/import.ts';
import { tableNames } from '#fleet/store/tables.ts';
import { groups as groupsAt } from '#fleet/store/view.ts';
import { provokes } from '../../kpatch/test/provoke.ts';
import { giveDatabase } from './empty-database.ts';
import { TestFleet } from './world.ts';

const kernel = '6.1.0-47-amd64';
const world = await TestFleet.open({ limits: { strangersPerMinute: 1000 } });
after(() => world[Symbol.asyncDispose]());

/** A client that calls the server without a network. */
const client = (token: string): FleetClient =>
  new FleetClient('http://fleet', token, async (url, { method, headers, body }) => {
    const answer = await world.fleet.server.inject({
      method: method as 'GET',
      url: String(url).replace('http://fleet', ''),
      headers: headers as Record<string, string>,
      ...(body === undefined ? {} : { payload: body as string }),
    });
    return new Response(answer.body, { status: answer.statusCode });
  });

const status = async (work: Promise<unknown>): Promise<number> => {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error === undefined) return 200;
  assert.ok(error instanceof ApiError, String(error));
  return error.status;
};

test('roles: each may do what it is for; a token has at most the rights of its maker', async () => {
  const made = async (role: string): Promise<FleetClient> =>
    client((await createApiToken(world.database, commandLine, { name: role, role, days: 1 })).token);
  const [viewer, operator, admin] = [await made('viewer'), await made('operator'), await made('admin')];
  assert.equal(await status(viewer.call('GET /api/groups', {})), 200);
  assert.equal(await status(viewer.call('POST /api/tokens', { body: {} })), 403);
  assert.equal(await status(operator.call('POST /api/tokens', { body: { labels: ['ring=1'] } })), 200);
  assert.equal(await status(operator.call('GET /api/audit', { query: {} })), 403);
  assert.equal(await status(admin.call('GET /api/audit', { query: { limit: '5' } })), 200);
  assert.equal(await status(operator.call('POST /api/api-tokens', { body: { name: 'x', role: 'admin' } })), 403);
  assert.equal(await status(client('kpa_').call('GET /api/groups', {})), 401);
  assert.equal(await status(admin.call('POST /api/tokens', { body: { uses: -1 } })), 400);
  assert.equal(await status(admin.call('POST /api/tokens', { body: { labels: ['<b>'] } })), 400);
  assert.equal(await status(admin.call('DELETE /api/tokens/:id', { params: { id: '999' } })), 404);
  assert.equal(await status(admin.call('DELETE /api/tokens/:id', { params: { id: "1' or 1=1" } })), 400);
});

test('attack on fleet: a stolen API token is useless once it is revoked, disabled with its account, or expired', async () => {
  await setAccount(world.database, commandLine, 'olga', 'admin', 'correct horse battery');
  const actor = { who: 'olga', address: '' };
  const make = () => createApiToken(world.database, actor, { name: 'ci', role: 'viewer', days: 1 });
  const [one, two, three] = [await make(), await make(), await make()];
  const works = (token: string) => status(client(token).call('GET /api/groups', {}));
  assert.deepEqual([await works(one.token), await works(two.token), await works(three.token)], [200, 200, 200]);
  await revokeApiToken(world.database, commandLine, one.id);
  assert.equal(await works(one.token), 401);
  await world.database.query("update fleet.api_token set expires = now() - interval '1 s' where id = $1", [two.id]);
  assert.equal(await works(two.token), 401);
  await disableAccount(world.database, commandLine, 'olga');
  assert.equal(await works(three.token), 401);
  const stored = JSON.stringify(await world.database.query('select * from fleet.api_token'));
  assert.ok(![one, two, three].some(({ token }) => stored.includes(token)));
});

test('attack on fleet: tokens made with a stolen token end with it, and with the rights of its account', async () => {
  const works = (token: string) => status(client(token).call('GET /api/groups', {}));
  const child = async (token: string, role: 'viewer' | 'operator' = 'viewer') =>
    await client(token).call('POST /api/api-tokens', { body: { name: 'x) (', role, days: 3650 } });
  const stolen = await createApiToken(world.database, commandLine, { name: 'ci', role: 'viewer', days: 1 });
  const other = await createApiToken(world.database, commandLine, { name: 'ci', role: 'viewer', days: 1 });
  const second = await child(stolen.token);
  const third = await child(second.token);
  const late = await world.database.query(
    "select 1 from fleet.api_token where id = any($1) and expires > now() + interval '25 hours'",
    [[second.id, third.id]],
  );
  assert.deepEqual(late, [], 'none outlives the one it was made with');
  await revokeApiToken(world.database, commandLine, stolen.id);
  const left = await Promise.all([stolen, second, third, other].map(({ token }) => works(token)));
  assert.deepEqual(left, [401, 401, 401, 200]);
  const password = 'correct horse battery';
  await setAccount(world.database, commandLine, 'otto', 'operator', password);
  const make = (role: string) =>
    createApiToken(world.database, { who: 'otto', address: '' }, { name: 'a', role, days: 1 });
  const [operator, viewer] = [await make('operator'), await make('viewer')];
  const grown = await child(operator.token);
  await setAccount(world.database, commandLine, 'otto', 'viewer', password);
  const after = await Promise.all([operator, grown, viewer].map(({ token }) => works(token)));
  assert.deepEqual(after, [401, 401, 200]);
});

test('attack on fleet: what a stranger sends is refused without saying what is inside', async () => {
  const { server } = world.fleet;
  const leave = { host: 'a\0b', at: new Date().toISOString(), signature: '' };
  const answer = await server.inject({ method: 'POST', url: '/v1/leave', payload: leave });
  assert.deepEqual(
    [answer.statusCode, answer.json().error],
    [400, 'the request contains a value that cannot be stored'],
  );
  const huge = await server.inject({ method: 'POST', url: '/v1/report', payload: { a: 'x'.repeat(300_000) } });
  assert.equal(huge.statusCode, 413);
  // A proxy on the same machine that nobody configured must not open the metrics to everybody.
  assert.equal((await server.inject({ url: '/metrics' })).statusCode, 200);
  for (const name of ['x-forwarded-for', 'forwarded'])
    assert.equal((await server.inject({ url: '/metrics', headers: { [name]: 'x' } })).statusCode, 401);
  for (const next of ['/\r\nset-cookie: a=b', '//evil.example', '/\\evil.example', 'https://evil.example', '/é']) {
    const page = await server.inject({ url: `/sign-in?next=${encodeURIComponent(next)}` });
    assert.deepEqual([page.statusCode, page.headers['set-cookie']], [200, undefined]);
    assert.ok(next === '/é' || page.body.includes('name="next" value="/"'), next);
  }
});

test('attack on fleet: over TLS a cookie that another site of the domain may have set does not count', () => {
  const secret = `kps_${'a'.repeat(32)}`;
  const found = (encrypted: boolean, cookie: string): string | undefined =>
    sessionOf({ headers: { cookie }, raw: { socket: { encrypted } } } as unknown as FastifyRequest);
  assert.equal(found(true, `kpatch-fleet=${secret}`), undefined);
  assert.equal(found(true, `kpatch-fleet=${secret}b; __Host-kpatch-fleet=${secret}`), secret);
  assert.equal(found(false, `a=b; kpatch-fleet=${secret}`), secret);
});

test('addresses are limited by network, so that one machine with many IPv6 addresses is one', () => {
  for (const [address, network] of [
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['2001:db8:0:0:ffff::2', '2001:db8:0:0'],
    ['2001:0db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['::1', '0:0:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
  ] as const)
    assert.equal(networkOf(address), network);
});

test('sessions: a wrong password and an unknown name look alike; forms of other sites are refused; disabling ends them', async () => {
  const password = 'a long password with ünïcode';
  await setAccount(world.database, commandLine, 'petra', 'operator', password);
  assert.equal(await signIn(world.database, 'petra', 'wrong', ''), undefined);
  assert.equal(await signIn(world.database, "petra' --", password, ''), undefined);
  const session = await signIn(world.database, 'petra', password.normalize('NFD'), '192.0.2.1');
  assert.ok(session !== undefined);
  const post = async (headers: Record<string, string>): Promise<number> =>
    (
      await world.fleet.server.inject({
        method: 'POST',
        url: '/api/tokens',
        payload: {},
        headers: { cookie: `kpatch-fleet=${session}`, ...headers },
      })
    ).statusCode;
  const form = String((await world.one('select form from fleet.session')).form);
  assert.equal(await post({}), 403);
  assert.equal(await post({ 'x-kpatch-form': 'kpc_wrong' }), 403);
  assert.equal(await post({ 'x-kpatch-form': form }), 200);
  const entries = await world.database.query(
    "select who, action, address from fleet.audit where action like 'session.%' order by id",
  );
  assert.deepEqual(entries.at(-1), { who: 'petra', action: 'session.begin', address: '192.0.2.1' });
  await disableAccount(world.database, commandLine, 'petra');
  assert.equal(await post({ 'x-kpatch-form': form }), 401);
  assert.equal(await signIn(world.database, 'petra', password, ''), undefined);
  const wrong = [
    ['Petra', 'admin', password],
    ['p', 'root', password],
    ['p', 'admin', 'short'],
  ] as const;
  for (const [name, role, secret] of wrong)
    await provokes('usage', () => setAccount(world.database, commandLine, name, role, secret));
});

test('CVEs follow from digests: fixed only if every digest is known; a patch that nobody knows is unknown, never fixed', async () => {
  using folder = temporaryFolder('kpatch-fleet-');
  const file = join(folder.path, 'cves.json');
  const answer = (cve: string, is: string, evidence: object[] = []) => ({
    cve,
    title: `<b>${cve}</b>`,
    answer: is,
    severity: 'important',
    exploited: false,
    evidence,
  });
  const cves = [answer('CVE-2026-1001', 'open'), answer('CVE-2026-1002', 'unknown'), answer('CVE-2026-1003', 'fixed')];
  const document = { schema: 'kpatch.cves/1', kernel, counts: { open: 1, unknown: 1, fixed: 1 }, cves };
  writeFileSync(file, JSON.stringify({ ...document, cves: cves.slice(1) }));
  await provokes('usage', () => importCves(world.database, commandLine, file));
  writeFileSync(
    file,
    JSON.stringify({
      ...document,
      cves: [...cves.slice(0, 2), answer('CVE-2026-1003', 'fixed', [{ kind: 'live patch' }])],
    }),
  );
  await provokes('usage', () => importCves(world.database, commandLine, file));
  writeFileSync(file, JSON.stringify(document));
  assert.equal(await importCves(world.database, commandLine, file), 3);
  const digest = 'a'.repeat(64);
  await addRelease(world.database, commandLine, {
    digest,
    name: 'lp_1',
    kernel,
    version: 1,
    cves: ['CVE-2026-1001'],
    functions: 3,
  });
  const patches = [
    undefined,
    { name: 'lp_1', sha256: digest, version: 1 },
    { name: 'lp_9', sha256: '9'.repeat(64), version: 9 },
  ];
  for (const [at, patch] of patches.entries()) {
    const host = new SimulatedHost(`cve ${at}`, kernel);
    host.patch = patch;
    await world.join(host, [`at=${at}`]);
    await world.report(host);
  }
  const { token } = await createApiToken(world.database, commandLine, { name: 'v', role: 'viewer', days: 1 });
  const { cves: found } = await client(token).call('GET /api/cves', {});
  const numbers = Object.fromEntries(found.map(({ cve, exposed, fixed, unknown }) => [cve, [exposed, fixed, unknown]]));
  assert.deepEqual(numbers, { 'CVE-2026-1001': [1, 1, 1], 'CVE-2026-1002': [0, 0, 3] });
  assert.equal((await client(token).call('GET /api/cves/:cve', { params: { cve: 'CVE-2026-1001' } })).exposed, 1);
  assert.equal(await status(client(token).call('GET /api/cves/:cve', { params: { cve: 'CVE-2026-1003' } })), 404);
  const { hosts } = await client(token).call('GET /api/hosts', { query: { search: 'CVE', patch: 'none' } });
  assert.deepEqual(
    hosts.map(({ name, labels }) => [name, labels]),
    [['cve 0', ['at=0']]],
  );
  assert.deepEqual(
    (await client(token).call('GET /api/hosts', { query: { search: '%' } })).hosts,
    [],
    'a search is no pattern',
  );
  const { groups } = await client(token).call('GET /api/groups', {});
  assert.equal(groups.length, 3);
  // Silence is judged by the clock by which reports arrive.
  const silentAfter = async (minutes: number): Promise<number> =>
    (await groupsAt(world.database, 900, world.now + minutes * 60_000)).reduce((sum, { silent }) => sum + silent, 0);
  assert.deepEqual([await silentAfter(0), await silentAfter(40)], [0, 3]);
});

test('metrics are text for Prometheus; the OpenAPI description names every route', async () => {
  const metrics = await world.fleet.server.inject('/metrics');
  assert.match(metrics.body, /^kpatch_fleet_reports_total\{verdict="next"\} \d+$/m);
  assert.match(metrics.body, /^kpatch_fleet_hosts \d+$/m);
  const foreign = await world.fleet.server.inject({ url: '/metrics', remoteAddress: '192.0.2.9' });
  assert.equal(foreign.statusCode, 401);
  const { paths } = (await world.fleet.server.inject('/api/openapi.json')).json() as { paths: Record<string, object> };
  const named = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
  );
  assert.deepEqual(named.sort(), Object.keys(routes).sort());
});

test('a host that falls silent counts once for each silence, and not if the server was away itself', async () => {
  const host = new SimulatedHost('silent', '6.1.0-silent');
  await world.join(host, ['role=db', 'site=paris']);
  await world.report(host);
  const seen = new Date(world.now);
  const at = (seconds: number): Date => new Date(seen.getTime() + seconds * 1000);
  const silent = async (since: Date, now: Date): Promise<number> => {
    await noteSilent(world.database, 300, since, now, (host) => world.fleet.rollouts.labelFor(host));
    return Number(
      (await world.one("select coalesce(sum(missing), 0)::int as n from fleet.evidence where kernel = '6.1.0-silent'"))
        .n,
    );
  };
  assert.equal(await silent(at(-60), at(600)), 0);
  assert.equal(await silent(at(100), at(1000)), 0, 'the server started after the last report');
  assert.equal(await silent(at(-60), at(1000)), 1);
  assert.equal(await silent(at(-60), at(2000)), 1);
  // The silence counts in the group in which the observed time of the host counts.
  const groups = await world.database.query(
    "select distinct label, sum(reports)::int as reports, sum(missing)::int as missing from fleet.evidence where kernel = '6.1.0-silent' group by label",
  );
  assert.deepEqual(groups, [{ label: 'site=paris', reports: 1, missing: 1 }]);
});

test('backup and restore: the same rows in another database, and new ones after them', async () => {
  using folder = temporaryFolder('kpatch-fleet-');
  const file = join(folder.path, 'backup.gz');
  const rows = await backup(world.database, file);
  await provokes('fleet-backup', () => restore(world.database, file));
  await giveDatabase(join(folder.path, 'other'));
  const other = await openDatabase(join(folder.path, 'other'), undefined);
  try {
    writeFileSync(join(folder.path, 'cut.gz'), readFileSync(file).subarray(0, -50));
    await provokes('fleet-backup', () => restore(other, join(folder.path, 'cut.gz')));
    assert.equal(await restore(other, file), rows);
    for (const table of tableNames) {
      const text = `select to_jsonb(t) as row from fleet.${table} t order by 1`;
      assert.deepEqual(await other.query(text), await world.database.query(text), table);
    }
    const { id } = await createApiToken(other, commandLine, { name: 'later', role: 'viewer', days: 1 });
    assert.ok(id > 3);
  } finally {
    await other.close();
  }
});

test('retention removes what is old and keeps what is not', async () => {
  await world.database.query(
    "update fleet.report set at = now() - interval '40 days' where host in (select id from fleet.host where name = 'cve 0')",
  );
  await world.database.query("update fleet.audit set at = now() - interval '2000 days' where action = 'cves.import'");
  const before = Number((await world.one('select count(*) as n from fleet.report')).n);
  await prune(world.database, { retention: { reportDays: 30, incidentDays: 365, auditDays: 1095, goneDays: 90 } });
  assert.equal(Number((await world.one('select count(*) as n from fleet.report')).n), before - 1);
  assert.equal(Number((await world.one("select count(*) as n from fleet.audit where action = 'cves.import'")).n), 0);
});

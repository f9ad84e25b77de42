/** Joining and leaving: one-time tokens, stolen and revoked ones, and the agent against a server with TLS. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { commandLine } from '#fleet/access/audit.ts';
import { createToken, listTokens, revokeToken } from '#fleet/access/tokens.ts';
import { SimulatedHost } from '#fleet/simulate/host.ts';
import { TestFleet } from './world.ts';

const kernel = '6.1.0-47-amd64';
const world = await TestFleet.open();
after(() => world[Symbol.asyncDispose]());

test('a token works once, for the key that signed the request, until it expires or is revoked', async () => {
  const join = async (host: SimulatedHost, token: string): Promise<number> =>
    (await world.post('/v1/join', host.joinRequest(token))).status;
  const token = await world.token(1, ['site=berlin', 'ring=1']);
  const [one, two] = [new SimulatedHost('one', kernel), new SimulatedHost('two', kernel)];
  const foreign = JSON.parse(one.joinRequest(token)) as Record<string, unknown>;
  foreign.key = two.key.public.toString('base64');
  assert.equal((await world.post('/v1/join', JSON.stringify(foreign))).status, 403);
  assert.equal(await join(one, token), 200);
  assert.equal(await join(two, token), 403, 'a stolen token that was used is useless');
  assert.deepEqual((await world.one('select labels from fleet.host where id = $1', [one.key.id])).labels, [
    'ring=1',
    'site=berlin',
  ]);
  const { id, token: revoked } = await createToken(world.database, commandLine, {
    note: '',
    labels: [],
    uses: 5,
    hours: 1,
  });
  assert.equal(await revokeToken(world.database, commandLine, id), true);
  assert.equal(await revokeToken(world.database, commandLine, id), false);
  assert.equal(await join(two, revoked), 403);
  const late = await createToken(world.database, commandLine, { note: '', labels: [], uses: 1, hours: 1 });
  await world.database.query("update fleet.token set expires = now() - interval '1 second' where id = $1", [late.id]);
  assert.equal(await join(two, late.token), 403);
  for (const text of ['{}', JSON.stringify({ token: 'x' })])
    assert.equal((await world.post('/v1/join', text)).status, 400);
  const stored = JSON.stringify(await world.database.query('select * from fleet.token'));
  assert.ok(!stored.includes(token) && !stored.includes(revoked), 'only hashes are stored');
  assert.equal((await listTokens(world.database)).length, 3);
  const actions = await world.database.query<{ action: string }>('select action from fleet.audit order by id');
  assert.deepEqual(
    actions.map(({ action }) => action),
    ['token.create', 'host.join', 'token.create', 'token.revoke', 'token.create'],
  );
});

test('a host that left is not believed any more, and only its key can say so', async () => {
  const host = new SimulatedHost('leaving', kernel);
  await world.join(host);
  await world.report(host);
  const at = new Date().toISOString();
  const request = (signer: SimulatedHost, time = at): string =>
    JSON.stringify({
      host: host.key.id,
      at: time,
      signature: signer.key.sign(Buffer.from(`kpatch-fleet-leave ${host.key.id} ${time}`)).toString('base64'),
    });
  assert.equal((await world.post('/v1/leave', request(new SimulatedHost('other', kernel)))).status, 403);
  assert.equal(
    (await world.post('/v1/leave', request(host, '2020-01-01T00:00:00.000Z'))).status,
    403,
    'an old request',
  );
  assert.equal((await world.post('/v1/leave', request(host))).status, 200);
  assert.equal((await world.post('/v1/report', host.sealed())).status, 403);
});

/** `kpatch-fleet --url`: the commands act on a server that runs, over TLS, with an API token. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { run, temporaryFolder } from 'kpatch/parts';
import { createApiToken } from '#fleet/access/accounts.ts';
import { commandLine } from '#fleet/access/audit.ts';
import { Reach } from '#fleet/cli/reach.ts';
import { readFreezes } from '#fleet/rollout/store.ts';
import { makeCertificate } from '#fleet/simulate/certificate.ts';
import { writeModule } from '../../kpatch/test/channel/module-file.ts';
import { provokes } from '../../kpatch/test/provoke.ts';
import { TestFleet } from './world.ts';

const tlsFolder = temporaryFolder('kpatch-fleet-');
const tls = makeCertificate(tlsFolder.path);
const world = await TestFleet.open({ tls: { certificate: tls.certificate, key: tls.key } });
const url = await world.fleet.server.listen({ host: '127.0.0.1', port: 0 });
after(async () => {
  await world[Symbol.asyncDispose]();
  tlsFolder[Symbol.dispose]();
});

async function tokenFile(role: string): Promise<string> {
  const file = join(world.folder.path, `token-${role}`);
  writeFileSync(file, (await createApiToken(world.database, commandLine, { name: role, role, days: 1 })).token);
  return file;
}
const admin = await tokenFile('admin');

async function act(...args: readonly string[]): Promise<{ status: number | null; out: string; err: string }> {
  const program = join(import.meta.dirname, '../cli/main.ts');
  const reach = ['--url', url, '--token-file', admin, '--ca', tls.authoritiesFile];
  const env = { ...process.env, NODE_OPTIONS: '' } as Record<string, string>;
  const { status, stdout, stderr } = await run(process.execPath, [program, ...reach, ...args], { env });
  return { status, out: stdout.toString(), err: stderr };
}

test('tokens, accounts, releases, rollouts and freezes while the server runs', async () => {
  const made = await act('token', 'create', '--label', 'ring=1', '--note', 'x');
  assert.match(made.out, /^kpf_\S+\n$/, made.err);
  assert.match((await act('token', 'list')).out, /^1\t0\/1\tuntil \S+\tring=1\tx\n$/);
  assert.deepEqual(await act('token', 'revoke', '1'), { status: 0, out: '', err: '' });
  assert.match((await act('token', 'revoke', '1')).err, /there is no such token/);
  const password = join(world.folder.path, 'password');
  writeFileSync(password, 'a long password\n');
  assert.equal((await act('account', 'set', 'ben', '--role', 'operator', '--password-file', password)).status, 0);
  assert.equal((await act('account', 'disable', 'ben')).status, 0);
  assert.equal((await act('account', 'list')).out, 'ben\toperator\tdisabled\n');
  assert.match((await act('api-token', 'create', 'mine', '--role', 'viewer')).out, /^kpa_\S+\n$/);
  const release = '6.1.0-56-amd64';
  const added = await act('release', writeModule(world.folder.path, { release }), '--channel', 'https://x');
  const digest = /, ([0-9a-f]{64})\n$/.exec(added.out)?.[1] ?? '';
  assert.deepEqual(await world.one('select digest, kernel, cves, channel from fleet.release'), {
    digest,
    kernel: release,
    cves: ['CVE-2026-1001'],
    channel: 'https://x',
  });
  const created = await act('rollout', 'create', '--kernel', release, '--release', digest, '--title', 'first');
  assert.equal(created.out, '1\n', created.err);
  assert.equal((await act('rollout', 'start', '1')).status, 0);
  assert.equal((await act('rollout', 'list')).out, `1\trunning\t${release}\t${digest.slice(0, 12)}\tfirst\n`);
  assert.match((await act('rollout', 'show', '1')).out, /^Rollout 1: first\nState: running\n(.|\n)*Seen at/);
  assert.equal((await act('rollout', 'freeze', '--reason', 'move', '--group', 'site=b', '--hours', '1')).status, 0);
  assert.deepEqual(
    (await readFreezes(world.database)).map(({ group, by, reason }) => [group, by.replace(/\d+/, 'N'), reason]),
    [['site=b', 'token N (admin)', 'move']],
  );
  assert.equal((await act('rollout', 'unfreeze', '--group', 'site=b')).status, 0);
  assert.deepEqual(await readFreezes(world.database), []);
  assert.equal((await act('rollout', 'roll-back', '1', '--ring', 'all', '--reason', 'bad')).status, 0);
  assert.match((await act('rollout', 'show', '1', '--json')).out, /rolled back/);
});

test('a wrong address, certificate, token or command is reported', async () => {
  const reach = (more: object): Reach => new Reach(() => ({ home: world.folder.path, url, tokenFile: admin, ...more }));
  const list = (one: Reach): Promise<unknown> =>
    one.at(
      (client) => client.call('GET /api/audit', { query: {} }),
      async () => undefined,
    );
  const ca = tls.authoritiesFile;
  assert.ok(await list(reach({ ca })));
  for (const [more, problem] of [
    [{}, /certificate/],
    [{ ca, url: 'https://127.0.0.1:1' }, /ECONNREFUSED/],
    [{ ca, tokenFile: await tokenFile('viewer') }, /needs the role admin/],
    [{ ca, tokenFile: ca }, /sign in, or send an API token|Invalid character/],
  ] as const)
    assert.match((await provokes('fleet-api', () => list(reach(more)))).message, problem);
  for (const more of [{ tokenFile: undefined }, { url: 'fleet.example.org' }])
    await provokes('usage', () => list(reach(more)));
  const local = await provokes('usage', () => reach({}).database(async () => undefined));
  assert.match(local.message, /run it on the server, without --url/);
});

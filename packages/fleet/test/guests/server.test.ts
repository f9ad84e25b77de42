/**
 * The server as a process with TLS, and the program that acts on it: two simulated machines join with one-time tokens and get a patch in two
 * rings; the next patch crashes the first machine. `make fleet-demo` does the same with a virtual machine.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { FleetAnswer } from 'kpatch/fleet';
import { temporaryFolder } from 'kpatch/parts';
import { sender } from '#fleet/cli/reach.ts';
import { SimulatedHost } from '#fleet/simulate/host.ts';
import { ServerProcess, twoRings } from './server.ts';

const kernel = '6.1.0-57-amd64';
const [one, two] = ['1'.repeat(64), '2'.repeat(64)] as const;

test('a patch goes through two rings; the next one crashes a host of the first, and the page says why the second never gets it', async () => {
  using folder = temporaryFolder('kpatch-fleet-server-');
  const home = join(folder.path, 'server');
  mkdirSync(home);
  const planFile = join(folder.path, 'plan.json');
  writeFileSync(planFile, JSON.stringify(twoRings));
  await using server = await ServerProcess.start(home, '127.0.0.1', 300);
  const send = sender(server.authorities);
  const post = async (path: string, body: string): Promise<unknown> => {
    const headers = { 'content-type': 'application/json' };
    const answer = await send(`https://127.0.0.1:${server.port}${path}`, { method: 'POST', headers, body });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return JSON.parse(await answer.text());
  };
  /** Reports and gives what the server chose. */
  const report = async (host: SimulatedHost): Promise<string | undefined> => {
    const answer = (await post('/v1/report', host.sealed())) as FleetAnswer;
    host.heard(answer);
    return answer.choices[0]?.sha256;
  };
  const joined = async (name: string, ...labels: string[]): Promise<SimulatedHost> => {
    const host = new SimulatedHost(name, kernel);
    await post('/v1/join', host.joinRequest(await server.act('token', 'create', '--uses', '1', ...labels)));
    return host;
  };
  const canary = await joined('one', '--label', 'canary');
  const other = await joined('two');

  const early = await server.roll(kernel, one, planFile);
  assert.equal(await server.standing(early), 'running waiting waiting', 'no host has reported its kernel');
  await report(canary);
  await report(other);
  await server.reach(early, 'running open waiting');
  assert.deepEqual([await report(canary), await report(other)], [one, undefined]);
  canary.patch = { name: 'one', sha256: one, version: 1 };
  await report(canary);
  await server.reach(early, 'running done open');
  assert.equal(await report(other), one);
  other.patch = canary.patch;
  await report(other);
  await server.reach(early, 'finished done done');

  const bad = await server.roll(kernel, two, planFile, one);
  assert.deepEqual([await report(canary), await report(other)], [two, one]);
  const at = new Date().toISOString();
  canary.boot++;
  canary.incidents = [{ kind: 'crash', key: 'boot-2', at, patch: two, text: 'a boot was lost' }];
  await report(canary);
  await server.reach(bad, 'halted open waiting');
  assert.deepEqual([await report(canary), await report(other)], [one, one]);
  const { reason } = await server.rollout(bad);
  assert.match(reason, /^The release harms hosts: crashes on 1 patched host in \S+ host-days, \S+ would be usual/);
  const page = await server.page(`/rollout/${bad}`);
  assert.match(page, /Halted/);
  assert.ok(page.includes(reason), page);
  const { hosts } = await server.client.call('GET /api/hosts', { query: {} });
  assert.deepEqual(hosts.map(({ name, patch }) => [name, patch]).sort(), [
    ['one', one],
    ['two', one],
  ]);
});

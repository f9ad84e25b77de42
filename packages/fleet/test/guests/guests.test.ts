/**
 * Two virtual machines with systemd in a fleet, as people run it: the server is a process with TLS, each machine joins with a one-time
 * token and follows a channel by TUF. A patch reaches them in two rings. The next one kills the kernel of the machine in the first ring,
 * which halts the rollout: the second machine never receives it. Boots three times, so it is part of the long form (`make soak`).
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from 'kpatch/parts';
import { Delivery } from './delivery.ts';
import { HERE } from './machine.ts';
import { Member } from './member.ts';
import { ServerProcess, twoRings } from './server.ts';

const skip = process.env.KPATCH_SOAK !== '1' && 'takes minutes: make soak';

test('two machines are patched in two rings, and a patch that crashes the first one never reaches the second', {
  skip,
  timeout: 60 * 60_000,
}, async (t) => {
  const begin = performance.now();
  const note = (what: string): void => t.diagnostic(`${((performance.now() - begin) / 1000).toFixed(0)} s: ${what}`);
  using folder = temporaryFolder('kpatch-fleet-guests-');
  await using delivery = await Delivery.make(folder.path);
  const home = join(folder.path, 'server');
  mkdirSync(home);
  // Machines report when the test tells them to.
  await using server = await ServerProcess.start(home, HERE, 86_400);
  const planFile = join(folder.path, 'plan.json');
  writeFileSync(planFile, JSON.stringify(twoRings));
  await server.act('release', delivery.file('fleet_one'), delivery.file('fleet_two'));
  note('the server runs');

  const token = (...labels: string[]): Promise<string> => server.act('token', 'create', '--uses', '1', ...labels);
  const secrets = { one: await token('--label', 'canary'), two: await token() };
  const { port, authorities } = server;
  const joined = (name: string, secret: string): Promise<Member> =>
    Member.join({ name, folder: folder.path, delivery, port, authorities, token: secret });
  const boots = [joined('one', secrets.one), joined('two', secrets.two)] as const;
  await using stack = new AsyncDisposableStack();
  for (const result of await Promise.allSettled(boots)) if (result.status === 'fulfilled') stack.use(result.value);
  const [one, two] = await Promise.all(boots);
  // The server hears which kernel they run.
  await Promise.all([one.report(), two.report()]);
  note('both machines have joined, follow the channel and have reported');

  const [release, next] = [delivery.digest('fleet_one'), delivery.digest('fleet_two')];
  const runs = async (member: Member): Promise<string> => (await member.run('cat /proc/loadavg')).split('\n')[0]!;

  // The good patch: the second machine asks too, but its ring is not open.
  const good = await server.roll(delivery.kernel.release, release, planFile);
  await Promise.all([one.report(), two.report()]);
  assert.equal(await runs(one), 'fleet_one');
  assert.notEqual(await runs(two), 'fleet_one');
  assert.equal(delivery.fetched('fleet_one'), 1);
  assert.equal(await server.standing(good), 'running open waiting');
  note('the first patch runs in the first ring only');
  await one.report();
  await server.reach(good, 'running done open');
  await two.report();
  assert.equal(await runs(two), 'fleet_one');
  await two.report();
  await server.reach(good, 'finished done done');
  note('the first patch runs in both rings');

  // The bad one.
  await delivery.publishNext();
  const bad = await server.roll(delivery.kernel.release, next, planFile, release);
  await Promise.all([one.report(), two.report()]);
  assert.equal(one.crashes, 1);
  assert.equal(two.crashes, 0);
  note('the second patch has crashed the machine of the first ring, which is up again');
  await server.reach(bad, 'halted open waiting');
  const { reason } = await server.rollout(bad);
  assert.match(reason, /^The release harms hosts: crashes on 1 patched host in \S+ host-days, \S+ would be usual/);

  // Whatever they are asked to do now: nobody gets it again.
  await Promise.all(
    [one, two].map(async (member) => {
      await member.report();
      await member.run('systemctl start kpatch-update.service');
    }),
  );
  assert.equal(one.crashes, 1);
  const shown = await one.shows();
  assert.match(shown, /^fleet_one\n/);
  assert.match(shown, /ended before it counted as survived, with fleet_two/);
  assert.equal(await runs(two), 'fleet_one');
  assert.equal(delivery.fetched('fleet_two'), 1, 'only the first machine fetched it');
  assert.doesNotMatch(await two.run('kpatch list; ls -R /var/lib/kpatch'), /fleet_two/);
  const { hosts } = await server.client.call('GET /api/hosts', { query: {} });
  assert.deepEqual(
    hosts.map(({ name, patch }) => [name, patch]).sort(),
    ['one', 'two'].map((name) => [name, release]),
  );
  assert.equal(await server.standing(bad), 'halted open waiting');
  const page = await server.page(`/rollout/${bad}`);
  assert.match(page, /Halted/);
  assert.ok(page.includes(reason), `the page says why: ${reason}`);
  note('the rollout is halted, the second ring never received the patch, and the page says why');
});

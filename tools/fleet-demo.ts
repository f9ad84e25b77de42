/**
 * `make fleet-demo`: a fleet server with simulated hosts and one real guest, and a page to open. The hosts have keys of their own and send signed reports; time
 * runs 600 times as fast, so that rings open and the test decides while one watches. A first live patch goes everywhere in rings, then a
 * second one crashes hosts and is halted. The guest is a virtual machine with the packaged kpatch: it loads the first patch when its ring
 * opens, and the second one crashes it.
 *
 * Options: --hosts N (default 120), --crash-rate R (crashes per host and day of the second patch, default 2), --minutes N (default 3),
 * --port N (default: one that is free), --no-guest (simulated hosts only: no virtual machine, no packages).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { FleetAnswer } from 'kpatch/fleet';
import { plural } from '#kpatch/base/errors/plural.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { setAccount } from '../packages/fleet/access/accounts.ts';
import { commandLine } from '../packages/fleet/access/audit.ts';
import { createToken } from '../packages/fleet/access/tokens.ts';
import { defaultConfig } from '../packages/fleet/config.ts';
import { createRollout, stepRollout } from '../packages/fleet/rollout/commands.ts';
import { ringOf } from '../packages/fleet/rollout/ring.ts';
import { readRollouts, type StoredRollout } from '../packages/fleet/rollout/store.ts';
import { openFleet } from '../packages/fleet/server/fleet.ts';
import { SimulatedHost } from '../packages/fleet/simulate/host.ts';
import { openDatabase } from '../packages/fleet/store/database.ts';
import { Delivery } from '../packages/fleet/test/guests/delivery.ts';
import type { Member } from '../packages/fleet/test/guests/member.ts';
import { story } from './channel-demo/story.ts';
import { joinGuest } from './fleet-demo/guest.ts';

const { values: options } = parseArgs({
  options: {
    hosts: { type: 'string', default: '120' },
    'crash-rate': { type: 'string', default: '2' },
    minutes: { type: 'string', default: '3' },
    port: { type: 'string', default: '0' },
    'no-guest': { type: 'boolean', default: false },
  },
});
const { say, seen, missed } = story();
const hostCount = Math.max(10, Number(options.hosts));
const crashRate = Number(options['crash-rate']);
const INTERVAL_MS = 600_000;
const password = 'demo password 2026';

using folder = temporaryFolder('kpatch-fleet-demo-');
const delivery = options['no-guest'] ? undefined : await Delivery.make(folder.path);
const kernel = delivery?.kernel.release ?? '6.1.0-47-amd64';
const digest = (at: number): string =>
  delivery?.digest(at === 1 ? 'fleet_one' : 'fleet_two') ?? String(at).padStart(64, '0');
const database = await openDatabase(folder.path, undefined);
const digests = ['', digest(1), digest(2)];
/** The clock of the demo. */
let now = Date.now();
const config = defaultConfig(folder.path, {
  listen: { port: Number(options.port) },
  intervalSeconds: INTERVAL_MS / 1000,
  limits: { reportsPerMinute: 100 },
});
const fleet = await openFleet(database, config, () => now);
const url = await fleet.server.listen(config.listen);
await setAccount(database, commandLine, 'demo', 'operator', password);
for (const [version, cves] of [
  [1, ['CVE-2026-31431']],
  [2, ['CVE-2026-31431', 'CVE-2026-43284']],
] as const)
  await database.query(
    'insert into fleet.release (digest, name, kernel, version, cves, functions) values ($1, $2, $3, $4, $5, 3)',
    [digest(version), 'livepatch_demo', kernel, version, [...cves]],
  );
for (const [id, title] of [
  ['CVE-2026-31431', 'crypto: algif_aead: write past the pages of a socket'],
  ['CVE-2026-43284', 'net/sched: use after free of a filter that is replaced while it is dumped'],
]) {
  await database.query("insert into fleet.cve (id, title, severity) values ($1, $2, 'important')", [id, title]);
  await database.query("insert into fleet.kernel_cve (kernel, cve, answer) values ($1, $2, 'open')", [kernel, id]);
}
say(`Open ${url} and sign in as "demo" with the password "${password}". Time runs 600 times as fast.`);

const { token } = await createToken(database, commandLine, { note: 'demo', labels: [], uses: hostCount, hours: 1 });
const hosts = Array.from({ length: hostCount }, (_, at) => new SimulatedHost(`host-${at + 1}.example.org`, kernel));
await post(
  '/v1/join',
  hosts.map((host) => host.joinRequest(token)),
);
say(`${hostCount} hosts have joined with a token and their own keys.`);
const guest = delivery === undefined ? undefined : await joined(delivery);

/** A virtual machine joins as people have theirs join. */
async function joined(from: Delivery): Promise<Member> {
  say(`A virtual machine boots with ${kernel} and joins …`);
  const facts = { note: 'guest', labels: ['canary'], uses: 1, hours: 1 };
  const one = await joinGuest(folder.path, from, url, (await createToken(database, commandLine, facts)).token);
  say('The virtual machine guest-1 has joined: its kpatch reports, verifies the channel and loads patches.');
  return one;
}

async function post(path: string, bodies: readonly string[]): Promise<FleetAnswer[]> {
  return await Promise.all(
    bodies.map(async (body) => {
      const answer = await fetch(url + path, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
      if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
      return (await answer.json()) as FleetAnswer;
    }),
  );
}

/** Every host reports once and does what it may; then the server looks. Takes at least a second, in which ten minutes pass. */
async function round(): Promise<void> {
  const pause = sleep(1000);
  now += INTERVAL_MS;
  const at = new Date(now);
  for (const host of hosts) live(host, at);
  const answers = await post(
    '/v1/report',
    hosts.map((host) => host.sealed(at)),
  );
  for (const [index, answer] of answers.entries()) {
    const host = hosts[index]!;
    host.heard(answer);
    const version = [0, 1, 2].findLast((at) => at > 0 && digests[at] === answer.choices[0]?.sha256) ?? 0;
    const isBlocked = host.incidents.length > 0 && version === 2;
    if (version > 0 && version !== host.patch?.version && !isBlocked)
      host.patch = { name: 'livepatch_demo', sha256: digest(version), version };
  }
  await fleet.rollouts.look();
  await pause;
}

/** With the second patch a host may crash; it comes back without it. */
function live(host: SimulatedHost, at: Date): void {
  if (host.patch?.version !== 2 || Math.random() >= crashRate * (INTERVAL_MS / 86_400_000)) return;
  host.boot++;
  host.incidents = [
    { kind: 'crash', key: `boot-${host.boot}`, at: at.toISOString(), patch: digest(2), text: 'a boot was lost' },
  ];
  host.patch = { name: 'livepatch_demo', sha256: digest(1), version: 1 };
}

async function start(version: number, title: string): Promise<string> {
  // Larger first rings than usual: a real fleet has a day for each.
  const rings = [0.2, 0.5, 1].map((share, at) => ({
    name: ['canary', 'half', 'all'][at]!,
    labels: at === 0 ? ['canary'] : [],
    share,
    soakSeconds: 3600,
    windows: [],
  }));
  const plan = {
    title,
    kernel,
    release: digest(version),
    previous: version === 1 ? '' : digest(1),
    watchSeconds: 1800,
    rings,
  };
  const id = await createRollout(database, commandLine, plan, now);
  await stepRollout(database, commandLine, id, 'start', '', now);
  await fleet.rollouts.look();
  say(`Rollout ${id}, ${title}: ${url}/rollout/${id}`);
  await guestHears();
  return id;
}

/** The guest reports, hears of the rollout and does what it hears; waits until it has heard. */
async function guestHears(): Promise<void> {
  if (guest === undefined) return;
  const reports = (): number => [...fleet.hosts.all()].find(({ name }) => name === 'guest-1')?.reports ?? 0;
  const before = reports();
  // Once to hear of the patch, and once to say that it has it.
  let isOver = false;
  void Promise.all([guest.report(), guest.report()])
    .catch((error: unknown) => process.stderr.write(`guest-1: ${String(error)}\n`))
    .finally(() => {
      isOver = true;
    });
  while (reports() === before && !isOver) await sleep(200);
}

/** Runs until the rollout is over or the time is. */
async function follow(id: string, until: number): Promise<StoredRollout> {
  let last = '';
  for (;;) {
    await round();
    const [rollout] = await readRollouts(database, id);
    const why = rollout!.state === 'halted' ? rollout!.reason : (rollout!.look?.because[0]?.text ?? '');
    if (why !== last) say(`    ${new Date(now).toISOString().slice(11, 16)}  ${why}`);
    last = why;
    if (rollout!.state !== 'running' || Date.now() > until) return rollout!;
  }
}

const end = Date.now() + Number(options.minutes) * 60_000;
await round();
await round();
const first = await follow(await start(1, 'A patch that does no harm'), end - 30_000);
const patched = hosts.filter(({ patch }) => patch?.version === 1).length;
seen(
  `the first patch reached ${patched} of ${hostCount} hosts, ring after ring`,
  first.state === 'finished' && patched === hostCount,
);
if (guest !== undefined) {
  seen('guest-1, a real machine, runs the first patch', /^fleet_one\n/.test(await guest.shows()));
  await delivery?.publishNext();
}
const second = await follow(await start(2, 'A patch that crashes hosts'), end + 60_000);
const crashed = hosts.filter(({ incidents }) => incidents.length > 0).length;
const reached = hosts.filter(({ patch }) => patch?.version === 2).length;
const isBad = crashRate > 0.1;
seen(
  `the second rollout is ${second.state}: ${plural(crashed, 'host')} crashed, ${reached} of ${hostCount} have the patch`,
  !isBad || second.state === 'halted',
);
// How many hosts are in rings that had opened is chance: one ring or two, and hosts are drawn. Those of the others must not have it.
const closed = second.rings.flatMap(({ state, name }, at) => (state === 'waiting' ? { at, name } : []));
const spared = hosts.filter(({ key }) => {
  const ring = ringOf(second.id, second.rings, { id: key.id, labels: [] });
  return closed.some(({ at }) => at === ring);
});
seen(
  `rings that it never opened: ${closed.map(({ name }) => name).join(' and ') || 'none'}; their ${plural(spared.length, 'host')} never had the patch`,
  spared.every(({ patch, incidents }) => patch?.version === 1 && incidents.length === 0),
);
if (guest !== undefined) {
  const shown = await guest.shows();
  const back = /ended before it counted as survived, with fleet_two/.test(shown);
  seen(
    'the second patch crashed guest-1; it came back with the first one',
    guest.crashes === 1 && back && /^fleet_one\n/.test(shown),
  );
}
const left = end - Date.now();
if (left > 0) {
  say(`The server answers for ${Math.ceil(left / 1000)} more seconds: ${url}`);
  await sleep(left);
}
await guest?.[Symbol.asyncDispose]();
await delivery?.[Symbol.asyncDispose]();
await fleet[Symbol.asyncDispose]();
await database.close();
process.exitCode = missed() === 0 ? 0 : 1;

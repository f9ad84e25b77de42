/**
 * `make fleet-demo`: a fleet server on the embedded database, simulated hosts with real keys, and a live patch that is rolled
 * out in two rings while the clock runs fast. With `--crashes N` one in N patched hosts crashes each day: the rollout halts in
 * its first ring. With `--crashes 0` the patch is good and reaches every host.
 *
 * Options: --hosts N, --crashes N, --seconds N (at most so long), --stay (keep serving the pages at the end), --port N.
 */
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { plural } from '#kpatch/base/errors/plural.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { setAccount } from '../packages/fleet/access/accounts.ts';
import { commandLine } from '../packages/fleet/access/audit.ts';
import { defaultConfig } from '../packages/fleet/config.ts';
import { createRollout, stepRollout } from '../packages/fleet/rollout/commands.ts';
import { parsePlan } from '../packages/fleet/rollout/plan-file.ts';
import { readRollouts } from '../packages/fleet/rollout/store.ts';
import { openFleet } from '../packages/fleet/server/fleet.ts';
import type { SimulatedHost } from '../packages/fleet/simulate/host.ts';
import { enter, population } from '../packages/fleet/simulate/population.ts';
import { openDatabase } from '../packages/fleet/store/database.ts';
import { addRelease } from '../packages/fleet/store/import.ts';
import type { FleetAnswer } from '../packages/kpatch/fleet.ts';
import { story } from './channel-demo/story.ts';

const { values } = parseArgs({
  options: {
    hosts: { type: 'string', default: '200' },
    crashes: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '150' },
    port: { type: 'string', default: '0' },
    stay: { type: 'boolean', default: false },
  },
});
const { say, seen, missed } = story();
const kernel = '6.1.0-47-amd64';
const before = { name: 'livepatch_1', sha256: '1'.repeat(64), version: 1 };
const patch = { name: 'livepatch_2', sha256: '2'.repeat(64), version: 2 };
/** The clock of the demo: one second is 20 minutes. */
const FAST = 1200;
const INTERVAL_SECONDS = 3600;
const began = Date.now();
const now = (): number => began + (Date.now() - began) * FAST;

using folder = temporaryFolder('kpatch-fleet-demo-');
const database = await openDatabase(folder.path, undefined);
for (const release of [before, patch])
  await addRelease(database, commandLine, {
    digest: release.sha256,
    kernel,
    cves: [`CVE-2026-100${release.version}`],
    functions: 3,
    ...release,
  });
const password = randomBytes(9).toString('base64url');
await setAccount(database, commandLine, 'demo', 'admin', password);
const hosts = [...population({ hosts: Number(values.hosts), kernels: [{ release: kernel, share: 1, patch: before }] })];
await enter(database, hosts);
const config = defaultConfig(folder.path, { intervalSeconds: INTERVAL_SECONDS, limits: { reportsPerMinute: 1000 } });
const fleet = await openFleet(database, config, now);
const url = await fleet.server.listen({ host: '127.0.0.1', port: Number(values.port) });
say(
  `${hosts.length} simulated hosts run ${before.name} on ${kernel}; the server is at ${url}, account demo, password ${password}`,
);

const crashes = Number(values.crashes);
let lost = 0;

/** One report of a host; then it takes the patch that the server chose. */
async function report(host: SimulatedHost): Promise<void> {
  const perReport = crashes === 0 ? 0 : INTERVAL_SECONDS / 86_400 / crashes;
  if (host.patch?.sha256 === patch.sha256 && Math.random() < perReport) {
    lost++;
    const text = `the boot before was lost with ${patch.name}`;
    host.incidents = [
      { kind: 'crash', key: `boot-${host.boot}`, at: new Date(now()).toISOString(), patch: patch.sha256, text },
    ];
    host.boot++;
  }
  const { status, body } = await fleet.ingest.take(JSON.parse(host.sealed(new Date(now()))) as object);
  if (status !== 200) return;
  const answer = body as FleetAnswer;
  host.heard(answer);
  const chosen = answer.choices.find(({ release }) => release === kernel)?.sha256;
  if (chosen !== undefined) host.patch = chosen === patch.sha256 ? patch : before;
}

for (const host of hosts) await report(host);
const hour = { soakHours: 6 };
const plan = parsePlan(
  JSON.stringify({
    schema: 'kpatch.fleet-plan/1',
    rings: [
      { name: 'few', share: 0.25, ...hour },
      { name: 'all', share: 1, ...hour },
    ],
    watchHours: 6,
  }),
  'the plan of the demo',
);
const rollout = {
  title: `${patch.name} for everybody`,
  kernel,
  release: patch.sha256,
  previous: before.sha256,
  rings: plan.rings,
};
const id = await createRollout(database, commandLine, { ...rollout, watchSeconds: plan.watchSeconds ?? 21_600 }, now());
await stepRollout(database, commandLine, id, 'start', 'the demo', now());
say(
  `Rollout ${id} starts: ring few has a quarter of the hosts, ring all the others; one second of the demo is 20 minutes.`,
);

const end = Date.now() + Number(values.seconds) * 1000;
let told = '';
let state = 'running';
while (Date.now() < end && state === 'running') {
  const next = Date.now() + (INTERVAL_SECONDS * 1000) / FAST;
  for (const host of hosts) await report(host);
  await fleet.rollouts.look();
  const [one] = await readRollouts(database, id);
  state = one?.state ?? 'gone';
  const patched = hosts.filter((host) => host.patch?.sha256 === patch.sha256).length;
  const why = one?.look?.because.map(({ text }) => text).join(' ') ?? '';
  if (why !== told)
    say(
      `  after ${((now() - began) / 3_600_000).toFixed(0)} h, ${plural(patched, 'host')} patched, ${lost === 1 ? '1 crash' : `${lost} crashes`}: ${why}`,
    );
  told = why;
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - Date.now())));
}
const [last] = await readRollouts(database, id);
const patched = hosts.filter((host) => host.patch?.sha256 === patch.sha256).length;
say(`The rollout is ${last?.state}. ${last?.reason ?? ''}`);
if (crashes > 0 && crashes <= 20) {
  seen('the rollout halted by itself', last?.state === 'halted');
  seen('ring all never received the patch', patched < hosts.length / 2);
} else seen('every host has the patch', patched === hosts.length);
if (values.stay) {
  say(`The pages stay at ${url} until Ctrl-C.`);
  await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
}
await fleet[Symbol.asyncDispose]();
await database.close();
process.exitCode = missed() === 0 ? 0 : 1;

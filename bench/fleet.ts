/**
 * How many machines one fleet server carries: simulated hosts with real keys report over TLS with keep-alive, every host once in
 * five minutes, against the embedded database or PostgreSQL on the same machine.
 * `node bench/fleet.ts [--hosts N] [--seconds S] [--database embedded|postgres] [--page PATH…]`
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeCertificate } from '../packages/fleet/simulate/certificate.ts';
import type { SimulatedHost } from '../packages/fleet/simulate/host.ts';
import { quantile, runLoad } from '../packages/fleet/simulate/load.ts';
import { enter, population } from '../packages/fleet/simulate/population.ts';
import { openDatabase } from '../packages/fleet/store/database.ts';
import { temporaryFolder } from '../packages/kpatch/base/files.ts';
import { PostgresServer } from '../packages/kpatch/test/postgres.ts';

const { values } = parseArgs({
  options: {
    hosts: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '20' },
    interval: { type: 'string', default: '300' },
    database: { type: 'string', default: 'embedded' },
    connections: { type: 'string', default: '256' },
    page: { type: 'string', multiple: true, default: [] },
  },
});

const patch = { name: 'livepatch_1', sha256: 'a'.repeat(64), version: 1 };
const kernels = [
  { release: '6.1.0-47-amd64', share: 6, patch },
  { release: '6.12.30-amd64', share: 3, patch: { ...patch, sha256: 'b'.repeat(64) } },
  { release: '5.10.0-46-amd64', share: 1 },
];

interface Started {
  readonly process: ChildProcess;
  readonly url: string;
}

async function serve(home: string): Promise<Started> {
  const main = join(import.meta.dirname, '../packages/fleet/cli/main.ts');
  const process = spawn(globalThis.process.execPath, [main, '-C', home, 'serve'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const url = await new Promise<string>((resolve, reject) => {
    process.once('exit', () => reject(new Error('the server does not start')));
    let text = '';
    process.stdout!.on('data', (part: Buffer) => {
      text += part.toString();
      const found = /listening on (\S+)/.exec(text)?.[1];
      if (found !== undefined) resolve(found);
    });
  });
  return { process, url };
}

/** Kibibytes of memory that a process has resident now (VmRSS) or had at most (VmHWM). */
function memory(pid: number, which: 'VmRSS' | 'VmHWM'): number {
  return Number(new RegExp(`${which}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
}

/** Seconds of processor time that a process has used. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function pageTime(url: string, ca: string): Promise<number> {
  const start = performance.now();
  return new Promise((resolve, reject) => {
    request(url, { ca }, (response) => {
      response.resume();
      response.on('end', () => resolve(performance.now() - start));
    })
      .on('error', reject)
      .end();
  });
}

const hosts: SimulatedHost[] = [...population({ hosts: Number(values.hosts), kernels })];
using folder = temporaryFolder('kpatch-fleet-bench-');
await using postgres = values.database === 'postgres' ? await PostgresServer.start() : undefined;
const tls = makeCertificate(folder.path);
const { authorities } = tls;
const settings = { schema: 'kpatch.fleet/1', listen: { port: 0 }, tls: { certificate: tls.certificate, key: tls.key } };
writeFileSync(
  join(folder.path, 'fleet.json'),
  JSON.stringify({ ...settings, ...(postgres === undefined ? {} : { database: postgres.url }) }),
);
{
  const database = await openDatabase(folder.path, postgres?.url);
  await enter(database, hosts);
  await database.close();
}
const { process: server, url } = await serve(folder.path);
const seconds = Number(values.seconds);
const before = cpuSeconds(server.pid!);
const pages = values.page.map((path) => ({ path, times: [] as number[] }));
const watching = setInterval(() => {
  for (const { path, times } of pages)
    void pageTime(url + path, authorities).then(
      (ms) => times.push(ms),
      () => times.push(Infinity),
    );
}, 5000);
const result = await runLoad({
  url,
  authorities,
  hosts,
  intervalSeconds: Number(values.interval),
  seconds,
  connections: Number(values.connections),
});
clearInterval(watching);
const cpu = cpuSeconds(server.pid!) - before;
const peak = memory(server.pid!, 'VmHWM');
const ended = new Promise((resolve) => server.once('exit', resolve));
server.kill('SIGTERM');
await ended;
const database = await openDatabase(folder.path, postgres?.url);
const [row] = await database.query<{ reports: number }>('select sum(reports)::int as reports from fleet.checkin');
await database.close();

const ms = (share: number): string => `${quantile(result.latencies, share).toFixed(0)} ms`;
const perReport = (value: number): string => (value / Math.max(1, result.taken)).toFixed(2);
console.log(`hosts ${hosts.length}, ${values.database}, ${seconds} s, load average ${loadavg()[0]!.toFixed(1)}`);
console.log(
  `reports taken ${result.taken} (${(result.taken / result.seconds).toFixed(1)} a second), stored ${row?.reports}`,
);
console.log(
  `lost ${result.taken - Number(row?.reports)}, not taken ${[...result.failed].map(([why, n]) => `${n} ${why}`).join(', ') || 'none'}`,
);
console.log(`answer p50 ${ms(0.5)}, p99 ${ms(0.99)}, most ${ms(1)}`);
console.log(`server: at most ${(peak / 1024).toFixed(0)} MiB, ${perReport(cpu * 1000)} ms of processor time a report`);
console.log(`a report has ${(result.bytes / Math.max(1, result.taken)).toFixed(0)} bytes in its envelope, on average`);
for (const { path, times } of pages) {
  const sorted = Float64Array.from(times).sort();
  console.log(`page ${path}: p50 ${quantile(sorted, 0.5).toFixed(0)} ms, most ${quantile(sorted, 1).toFixed(0)} ms`);
}

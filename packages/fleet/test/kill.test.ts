/** A server that is killed, and a PostgreSQL server that is killed, lose no report that was answered. KPATCH_SOAK=1: 30 times. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from 'kpatch/parts';
import { makeCertificate } from '#fleet/simulate/certificate.ts';
import { runLoad } from '#fleet/simulate/load.ts';
import { enter, population } from '#fleet/simulate/population.ts';
import { openDatabase } from '#fleet/store/database.ts';
import { PostgresServer } from '../../kpatch/test/postgres.ts';
import { listening } from './listening.ts';

const kills = process.env.KPATCH_SOAK === '1' ? 30 : 2;

async function serve(home: string): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../cli/main.ts'), '-C', home, 'serve'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const url = await listening(child);
  return { child, url };
}

async function killed(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}

test(`server and PostgreSQL are killed ${kills} times while hosts report: every answered report is stored`, async () => {
  using folder = temporaryFolder('kpatch-fleet-');
  await using postgres = await PostgresServer.start();
  const tls = makeCertificate(folder.path);
  const settings = {
    schema: 'kpatch.fleet/1',
    listen: { port: 0 },
    tls: { certificate: tls.certificate, key: tls.key },
    database: postgres.url,
  };
  writeFileSync(join(folder.path, 'fleet.json'), JSON.stringify({ ...settings, limits: { reportsPerMinute: 10_000 } }));
  const hosts = [...population({ hosts: 40, kernels: [{ release: '6.1.0-47-amd64', share: 1 }] })];
  const database = await openDatabase(folder.path, postgres.url);
  await enter(database, hosts);
  await database.close();
  const answered = new Map<string, number>();
  let taken = 0;
  for (let count = 0; count < kills; count++) {
    const { child, url } = await serve(folder.path);
    const victim = count % 2 === 0 ? () => killed(child) : () => postgres.kill();
    let heard = 0;
    // Reports go on for a while after the kill, however slow the machine is; ten minutes are the end in any case.
    const over = new AbortController();
    const options = { url, authorities: tls.authorities, hosts, intervalSeconds: 1, seconds: 600, connections: 8 };
    const result = await runLoad({
      ...options,
      signal: over.signal,
      onAnswer: (host, answer) => {
        answered.set(host.key.id, Math.max(answered.get(host.key.id) ?? 0, answer.taken));
        if (++heard === 30 + 7 * count) void victim().then(() => setTimeout(() => over.abort(), 2000));
      },
    });
    taken += result.taken;
    assert.ok(result.failed.size > 0, 'the kill came while hosts reported');
    if (count % 2 === 0) assert.ok(child.signalCode !== null || child.exitCode !== null);
    else {
      assert.equal(child.exitCode, null, 'the server goes on without its database');
      await postgres.run();
      await killed(child);
    }
  }
  const again = await openDatabase(folder.path, postgres.url);
  const rows = await again.query<{ host: string; counter: number; standing: string }>(
    'select c.host, c.counter, h.standing from fleet.checkin c join fleet.host h on h.id = c.host',
  );
  await again.close();
  assert.ok(taken >= 30 * kills, `${taken} reports were answered`);
  for (const { host, counter, standing } of rows) {
    assert.ok(
      Number(counter) >= (answered.get(host) ?? 0),
      `${host}: ${counter} stored, ${answered.get(host)} answered`,
    );
    assert.equal(standing, 'normal', 'a host whose answer was lost is no copy');
  }
});

/** Workers that are killed at random moments lose no job and no result. KPATCH_SOAK=1 kills 50 times, also PostgreSQL. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from 'kpatch/parts';
import type { StoredPublication } from '#factory/steps/factory.ts';
import { PostgresServer } from '../../kpatch/test/postgres.ts';
import { lines } from './repository.ts';
import { RELEASE, World } from './world.ts';

const soak = process.env.KPATCH_SOAK === '1';

/** A made but fixed order of moments, so that a failure can be repeated. */
function* moments(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    yield 200 + (state % 2500);
  }
}

/** Starts a worker, waits until it works, and kills it after `ms`. */
async function killedWorker(
  folder: string,
  url: string | undefined,
  ms: number,
  during: () => Promise<void>,
): Promise<void> {
  const script = join(import.meta.dirname, 'kill-worker.ts');
  const worker = spawn(process.execPath, [script, folder, ...(url === undefined ? [] : [url])], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  await Promise.race([new Promise((resolve) => worker.stdout.once('data', resolve)), ended]);
  await new Promise((resolve) => setTimeout(resolve, ms));
  await during();
  worker.kill('SIGKILL');
  await ended;
}

async function survives(kills: number, server: PostgresServer | undefined): Promise<void> {
  using folder = temporaryFolder('kpatch-factory-');
  const world = new World(folder.path);
  const all: string[] = [];
  const waits = moments(1);
  for (let at = 0; at < kills; at++) {
    const text = Object.fromEntries(Array.from({ length: at + 1 }, (_, n) => [n + 1, `checked ${n}`]));
    const commit = world.repository.commit(`fix ${at}`, { 'net/a.c': lines(60, text) });
    const id = `CVE-2026-${1001 + at}`;
    world.record({ id, fixed: [commit] });
    all.push(id);
    await killedWorker(folder.path, server?.url, waits.next().value!, async () => {
      if (server === undefined || at % 2 === 0) return;
      await server.kill();
      await server.run();
    });
  }
  const factory = await world.run(server?.url);
  const published = await factory.state.read<StoredPublication>(`published:${RELEASE}`);
  assert.deepEqual(published?.cves, all);
  const failures = (await factory.state.events()).filter(({ kind }) => kind === 'failed');
  assert.ok(failures.length <= kills, JSON.stringify(failures));
  await world.close();
  const last = readFileSync(join(world.home, 'published'), 'utf8').trim().split('\n').at(-1);
  assert.equal(last, all.join(' '));
}

test(`the embedded factory is killed ${soak ? 50 : 3} times`, () => survives(soak ? 50 : 3, undefined));

test(`workers and PostgreSQL are killed ${soak ? 50 : 2} times`, async () => {
  await using server = await PostgresServer.start();
  await survives(soak ? 50 : 2, server);
});

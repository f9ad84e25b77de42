/** Workers that are killed at random moments lose no job and no result. KPATCH_SOAK=1 kills 50 times. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from 'kpatch/parts';
import { Queue } from '#factory/queue/queue.ts';
import { PostgresServer } from '../../kpatch/test/postgres.ts';
import { giveDatabase } from './empty-database.ts';
import { lines } from './repository.ts';
import { RELEASE, World } from './world.ts';

const soak = process.env.KPATCH_SOAK === '1';

/** A made but fixed order of moments, so that a failure can be repeated. */
function* moments(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    yield state % 3000;
  }
}

interface Worker {
  /** Resolves when it begins to look for jobs, or has ended. */
  readonly ready: Promise<unknown>;
  kill(): Promise<void>;
}

function startWorker(folder: string, url: string | undefined): Worker {
  const script = join(import.meta.dirname, 'kill-worker.ts');
  const worker = spawn(process.execPath, [script, folder, ...(url === undefined ? [] : [url])], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  return {
    ready: Promise.race([new Promise((resolve) => worker.stdout.once('data', resolve)), ended]),
    async kill() {
      worker.kill('SIGKILL');
      await ended;
    },
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Each round brings a new fix and kills once: a worker, on a server also PostgreSQL, or both. Some die before they are ready. */
async function survives(kills: number, server: PostgresServer | undefined): Promise<void> {
  using folder = temporaryFolder('kpatch-factory-');
  const world = new World(folder.path);
  await giveDatabase(world.home);
  const all: string[] = [];
  const waits = moments(1);
  let other: Worker | undefined;
  for (let at = 0; at < kills; at++) {
    const text = Object.fromEntries(Array.from({ length: at + 1 }, (_, n) => [n + 1, `checked ${n}`]));
    const commit = world.repository.commit(`fix ${at}`, { 'net/a.c': lines(60, text) });
    const id = `CVE-2026-${1001 + at}`;
    world.record({ id, fixed: [commit] });
    all.push(id);
    const worker = startWorker(folder.path, server?.url);
    if (at % 4 !== 3) await worker.ready;
    await pause(waits.next().value!);
    if (server !== undefined && at % 3 > 0) {
      await server.kill();
      await server.run();
      if (at % 3 === 1) await pause(waits.next().value!);
    }
    await other?.kill();
    other = undefined;
    // On a server, this worker goes on beside the next one.
    if (server !== undefined && at % 2 === 0) other = worker;
    else await worker.kill();
  }
  await other?.kill();
  const factory = await world.run(server?.url);
  const published = await factory.state.read('published', RELEASE);
  assert.deepEqual(published?.cves, all);
  const failures = (await factory.state.events()).filter(({ kind }) => kind === 'failed');
  assert.ok(failures.length <= 2 * kills, JSON.stringify(failures));
  await world.close();
  const last = readFileSync(join(world.home, 'published'), 'utf8').trim().split('\n').at(-1);
  assert.equal(last, all.join(' '));
}

test(`the embedded factory is killed ${soak ? 50 : 3} times`, () => survives(soak ? 50 : 3, undefined));

test(`workers and PostgreSQL are killed ${soak ? 50 : 3} times`, async () => {
  await using server = await PostgresServer.start();
  await survives(soak ? 50 : 3, server);
});

test('a worker goes on when PostgreSQL was away', async () => {
  await using server = await PostgresServer.start();
  using folder = temporaryFolder('kpatch-factory-');
  const world = new World(folder.path);
  const commit = world.repository.commit('fix', { 'net/a.c': lines(60, { 5: 'checked' }) });
  world.record({ id: 'CVE-2026-1001', fixed: [commit] });
  const { factory, database } = await world.open(server.url);
  const queue = await Queue.open(database);
  await queue.send({ step: 'ingest', kernel: '' });
  const started = Promise.withResolvers<void>();
  const away = started.promise.then(async () => {
    await server.kill();
    await pause(1000);
    await server.run();
  });
  const signal = AbortSignal.timeout(300_000);
  await Promise.all([away, queue.work(factory, { signal, once: true, onJob: () => started.resolve() })]);
  await queue.close();
  await database.close();
  assert.deepEqual(world.published.at(-1)?.cves, ['CVE-2026-1001']);
});

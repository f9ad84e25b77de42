/**
 * Two workers limited to one processor each against one: a factory on PostgreSQL with eight kernels, whose builds each use two
 * seconds of a processor. The queue, the store, git and the pages of the database are real; only the compiler is made.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { Queue } from '../packages/factory/queue/queue.ts';
import { lines } from '../packages/factory/test/repository.ts';
import { World } from '../packages/factory/test/world.ts';
import { temporaryFolder } from '../packages/kpatch/base/files.ts';
import { PostgresServer } from '../packages/kpatch/test/postgres.ts';

const KERNELS = 8;
const BUILD_MS = 2000;
const DEADLINE_MS = 600_000;

/** Uses a processor for so long, whatever else runs on it. */
function work(ms: number): void {
  const start = process.cpuUsage();
  const used = (): number => {
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  };
  while (used() < ms) createHash('sha256').update(Buffer.alloc(65_536)).digest();
}

async function worker(folder: string, url: string): Promise<void> {
  const { factory, database } = await World.reopen(folder).open(url);
  const { build } = factory.tools;
  const tools = {
    ...factory.tools,
    build: async (order: Parameters<typeof build>[0]) => {
      work(BUILD_MS);
      return await build(order);
    },
  };
  const queue = await Queue.open(database);
  console.log('ready');
  await queue.work({ ...factory, tools }, { signal: AbortSignal.timeout(DEADLINE_MS) });
}

/** Seconds from the first job to the end of the last one. */
async function run(cores: readonly number[]): Promise<number> {
  await using server = await PostgresServer.start();
  using folder = temporaryFolder('kpatch-workers-');
  const kernels = Array.from({ length: KERNELS }, (_, at) => ({ release: `6.1.0-${40 + at}-amd64` }));
  const world = new World(folder.path, { kernels });
  const fix = world.repository.commit('fix', { 'net/a.c': lines(60, { 5: 'checked' }) });
  world.record({ id: 'CVE-2026-1001', fixed: [fix] });
  const { database } = await world.open(server.url);
  const queue = await Queue.open(database);
  const workers = cores.map((core) => {
    const args = ['-c', String(core), process.execPath, import.meta.filename, folder.path, server.url];
    return spawn('taskset', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  });
  try {
    await Promise.all(workers.map(({ stdout }) => new Promise((resolve) => stdout.once('data', resolve))));
    const start = performance.now();
    await queue.send({ step: 'ingest', kernel: '' });
    while ((await queue.pending()) > 0) {
      if (performance.now() - start > DEADLINE_MS) throw new Error('the workers do not end');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return (performance.now() - start) / 1000;
  } finally {
    for (const one of workers) one.kill('SIGKILL');
    await queue.close();
    await database.close();
  }
}

const [folder, url] = process.argv.slice(2);
if (folder !== undefined && url !== undefined) await worker(folder, url);
else {
  const one = await run([0]);
  const two = await run([0, 1]);
  console.log(`one worker on one processor: ${KERNELS} kernels in ${one.toFixed(1)} s`);
  console.log(
    `two workers on one processor each: ${two.toFixed(1)} s, ${(one / two).toFixed(2)} times the throughput (goal: 1.8)`,
  );
}

/** A worker process for the test that kills it: works on the world in a folder until it is killed. */
import { Queue } from '#factory/queue/queue.ts';
import { World } from './world.ts';

const [folder = '', url] = process.argv.slice(2);
const world = World.reopen(folder);
const { factory, database } = await world.open(url);
const queue = await Queue.open(database);
await queue.send({ step: 'ingest', kernel: '' });
console.log('ready');
await queue.work(factory, { signal: AbortSignal.timeout(120_000) });

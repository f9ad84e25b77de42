/**
 * Runs test files, as many at a time as there are processors, the long ones first: `node --test` goes by the alphabet, and a
 * long file that begins last leaves all processors but one idle. Exit status 1 if a test failed.
 *
 * Usage: tests.ts FILE…
 */
import { availableParallelism } from 'node:os';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

/** By how long they take, the longest first. The others are short, and their order does not matter. */
const LONG = [
  'kpatch/test/prove/full',
  'kpatch/test/vm/host',
  'kpatch/test/vm/host-boot',
  'kpatch/test/vm/out-of-tree',
  'kpatch/test/channel/follow',
  'kpatch/test/prove/quick',
  'kpatch/test/vm/rewrite',
  'factory/test/kill',
  'factory/test/factory',
  'factory/test/assembly',
  'kpatch/test/vm/author',
  'kpatch/test/vm/host-packages',
  'kpatch/test/vm/host-power',
  'factory/test/cli',
  'factory/test/page',
  'kpatch/test/host/packages',
  'kpatch/test/vm/guest',
  'kpatch/test/vm/build',
  'kpatch/test/vm/irrelevant',
  'kpatch/test/prove/kinds',
  'kpatch/test/kernel/run-pre',
  'kpatch/test/vm/kept',
  'kpatch/test/vm/host-cycles',
  'kpatch/test/vm/system',
  'kpatch/test/vm/signature-trust',
  'kpatch/test/vm/sandbox',
  'fleet/test/guests/server',
  'kpatch/test/kernel/prepare',
].map((name) => `packages/${name}.test.ts`);

/** A test that takes longer has failed. */
const TIMEOUT_MS = 1_500_000;
/** Guests and builds take a gigabyte each. */
const MOST = 4;

const files = process.argv.slice(2);
if (files.length === 0) {
  console.error('usage: tests.ts FILE…');
  process.exit(2);
}
/** Files that are not listed come after those that are. */
const place = (file: string): number => {
  const at = LONG.findIndex((long) => file.endsWith(long));
  return at < 0 ? LONG.length : at;
};
run({
  files: files.toSorted((one, other) => place(one) - place(other)),
  concurrency: Math.min(MOST, Math.max(2, availableParallelism())),
  timeout: TIMEOUT_MS,
})
  .on('test:fail', () => {
    process.exitCode = 1;
  })
  .compose(new spec())
  .pipe(process.stdout);

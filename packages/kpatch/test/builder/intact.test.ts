/** A build whose kernel turns out to be modified counts for nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { onIntactKernel } from '#kpatch/builder/intact.ts';

/** Runs attempts that hand over an inspection with this result; returns what came out, and how often it was tried. */
async function tried(changed: () => Promise<string | undefined>, work: () => string): Promise<[string, number]> {
  let attempts = 0;
  const result = await onIntactKernel(async (defer) => {
    attempts++;
    if (defer === undefined) return 'again';
    defer(changed());
    return work();
  }).catch((error: Error) => error.message);
  return [result, attempts];
}

const fails = (): never => {
  throw new Error('refused');
};

test('the first result or error counts if no file changed', async () => {
  assert.deepEqual(
    await tried(
      async () => undefined,
      () => 'built',
    ),
    ['built', 1],
  );
  assert.deepEqual(await tried(async () => undefined, fails), ['refused', 1]);
});

test('after a change, results and errors are discarded, and the kernel is inspected first', async () => {
  assert.deepEqual(
    await tried(
      async () => 'tree/fs/one.c',
      () => 'built',
    ),
    ['again', 2],
  );
  assert.deepEqual(await tried(async () => 'tree/fs/one.c', fails), ['again', 2]);
});

test('an inspection that fails is an error, also if the attempt ends later', async () => {
  const inspect = () => Promise.reject(new Error('no such program'));
  assert.deepEqual(await tried(inspect, () => 'built'), ['no such program', 1]);
});

test('an attempt that does not defer is final', async () => {
  let attempts = 0;
  assert.equal(await onIntactKernel(async () => `attempt ${++attempts}`), 'attempt 1');
});

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeAtomically } from '../src/util/files.ts';
import { lock } from '../src/util/lock.ts';
import { run, runOk } from '../src/util/run.ts';
import { provokes } from './provoke.ts';

test('a missing program is an error that names its package', async () => {
  await provokes('tool-missing', () => run('createrepo_c-not-there', []));
});

test('a program that fails is an error with what it said', async () => {
  const error = await provokes('tool-failed', () => runOk('sh', ['-c', 'echo why it failed >&2; exit 3']));
  assert.match(error.message, /status 3/);
  assert.match(error.detail ?? '', /why it failed/);
});

test('a program past its deadline is killed with its children', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kpatch-test-'));
  try {
    const alive = join(folder, 'alive');
    await provokes('timed-out', () => run('sh', ['-c', `(sleep 2; touch ${alive}) & wait`], { timeoutMs: 100 }));
    await new Promise((resolve) => setTimeout(resolve, 2300));
    assert.equal(existsSync(alive), false, 'a grandchild survived the deadline');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a program that is called off is killed, and the error says what called it off', async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort('the test'), 50);
  const error = await provokes('interrupted', () => run('sleep', ['60'], { signal: controller.signal }));
  assert.match(error.message, /the test/);
});

test('an atomic write leaves the new content and no temporary file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kpatch-test-'));
  try {
    writeAtomically(join(folder, 'f'), 'one');
    writeAtomically(join(folder, 'f'), 'two');
    assert.equal(readFileSync(join(folder, 'f'), 'utf8'), 'two');
    assert.deepEqual(readdirSync(folder), ['f']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a write that cannot succeed says so and leaves nothing', async () => {
  await provokes('file-unwritable', () => writeAtomically('/proc/no-such-file', 'x'));
});

test('a lock is held by one at a time and is free after its release', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kpatch-test-'));
  try {
    const path = join(folder, 'lock');
    const first = await lock(path, 'the store');
    const error = await provokes('locked', () => lock(path, 'the store'));
    assert.match(error.message, /the store/);
    first.release();
    (await lock(path, 'the store', { waitMs: 5000 })).release();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

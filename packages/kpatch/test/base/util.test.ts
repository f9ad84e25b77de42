import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { checkWritable, temporaryFolder, writeAtomically } from '#kpatch/base/files.ts';
import { lock } from '#kpatch/base/process/lock.ts';
import { run, runOk } from '#kpatch/base/run.ts';
import { provokes } from '../provoke.ts';

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
    const go = join(folder, 'go');
    // It ends by itself after a minute, also if it is not killed.
    const grandchild = `n=0; until [ -e ${go} ] || [ $n = 600 ]; do sleep 0.1; n=$((n+1)); done; [ -e ${go} ] && touch ${alive}`;
    await provokes('timed-out', () => run('sh', ['-c', `(${grandchild}) & wait`], { timeoutMs: 100 }));
    writeFileSync(go, '');
    await new Promise((resolve) => setTimeout(resolve, 500));
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

test('what a killed process left is removed by the next one that works there, and nothing else', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kpatch-test-'));
  const files = join(import.meta.dirname, '../../base/files.ts');
  const script = `import { openSync } from 'node:fs';
import { temporaryFolder } from ${JSON.stringify(files)};
import { ownerMark } from ${JSON.stringify(files.replace('files.ts', 'process/leftovers.ts'))};
const parent = ${JSON.stringify(folder)};
temporaryFolder('kpatch-killed-', parent);
openSync(\`\${parent}/.killed.ko.\${ownerMark}.0123456789ab.tmp\`, 'w');
process.kill(process.pid, 'SIGKILL');`;
  try {
    const others = ['kpatch-build-abcdef', '.fix.ko.swp', 'kpatch-killed', '.x.0123456789ab.tmp'];
    for (const name of others) writeFileSync(join(folder, name), '');
    using living = temporaryFolder('kpatch-living-', folder);
    const { signal, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script]);
    assert.equal(signal, 'SIGKILL', stderr.toString());
    assert.equal(readdirSync(folder).length, others.length + 3);
    const next = `import { writeAtomically } from ${JSON.stringify(files)};
writeAtomically(${JSON.stringify(join(folder, 'file'))}, '');`;
    assert.equal(spawnSync(process.execPath, ['--input-type=module', '-e', next]).status, 0);
    assert.deepEqual(readdirSync(folder).sort(), ['file', basename(living.path), ...others].sort());
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a write that cannot succeed says so and leaves nothing', async () => {
  await provokes('file-unwritable', () => writeAtomically('/proc/no-such-file', 'x'));
  for (const path of ['/no/such/folder/x', tmpdir()]) await provokes('file-unwritable', () => checkWritable(path));
  checkWritable(join(tmpdir(), 'any'));
});

test('a lock is held by one at a time and is free after its release', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kpatch-test-'));
  try {
    const path = join(folder, 'lock');
    const first = await lock(path, 'the store');
    const error = await provokes('locked', () => lock(path, 'the store'));
    assert.match(error.message, /the store/);
    first.release();
    (await lock(path, 'the store', { waitMs: 60_000 })).release();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

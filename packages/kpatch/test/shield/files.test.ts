/** Shield files, expiry, counting and what a host says about shields: all on made-up folders. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { shieldTodo } from '#kpatch/host/shields.ts';
import { parseManifest } from '#kpatch/module/manifest.ts';
import { countUsers, tally, usersText } from '#kpatch/shield/count.ts';
import { expiry, readShieldFile } from '#kpatch/shield/file.ts';
import { requireUnpatched } from '#kpatch/shield/patched.ts';
import { manifestOf } from '../host/fake.ts';
import { provokes } from '../provoke.ts';

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-shield-test-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const examples = join(import.meta.dirname, '../../../../examples/shields');
const good = {
  schema: 'kpatch.shield/1',
  cves: ['CVE-2026-0001'],
  title: 'a',
  function: 'f',
  returns: '-EPERM',
  impact: 'b',
  test: 't.sh',
};

function written(value: unknown): string {
  const file = join(folder, 'shield.json');
  writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value));
  return file;
}

test('every example is a valid shield file with a test script', () => {
  const files = readdirSync(examples).filter((name) => name.endsWith('.json'));
  assert.ok(files.length >= 5);
  for (const name of files) assert.ok(readShieldFile(join(examples, name)).testFile?.endsWith('.test.sh'), name);
});

test('a shield file names a test beside it', () => {
  assert.equal(readShieldFile(written(good)).testFile, join(folder, 't.sh'));
});

for (const [what, value] of [
  ['that is not JSON', '{'],
  ['with a member twice', '{"schema":"kpatch.shield/1","schema":"x"}'],
  ['with an unknown member', { ...good, exec: 'x' }],
  ['without a CVE', { ...good, cves: [] }],
  ['whose test is in another folder', { ...good, test: '../t.sh' }],
  ['with control characters', { ...good, title: 'a\u001b[1m' }],
  ['with a function that is not a name', { ...good, function: 'f; g' }],
] as const)
  test(`refused: a shield file ${what}`, async () => {
    await provokes('shield-file', () => readShieldFile(written(value)));
  });

test('an expiry is a time after now', async () => {
  const now = new Date('2026-01-01T00:00:00.500Z');
  assert.equal(expiry('14d', now).toISOString(), '2026-01-15T00:00:00.000Z');
  assert.equal(expiry('36h', now).toISOString(), '2026-01-02T12:00:00.000Z');
  for (const value of ['', '0d', '14', '60w', '-1d', '1y']) await provokes('shield-expiry', () => expiry(value, now));
});

test('a function that a loaded patch replaces is not shielded', async () => {
  mkdirSync(join(folder, 'sys/kernel/livepatch/livepatch_fix/vmlinux/f,1'), { recursive: true });
  const target = { release: 'a', running: 'a', root: folder };
  await provokes('shield-patched', () => requireUnpatched('f', target));
  requireUnpatched('g', target);
  requireUnpatched('f', { ...target, running: 'b' });
});

test('users are counted only on the target, as root, with ftrace; otherwise the reason is given', async () => {
  const why = async (running: string, uid: number): Promise<string> => {
    const users = await countUsers('f', 0, { release: 'a', running, root: folder, uid });
    assert.equal(users.counted, false);
    return usersText(users);
  };
  assert.match(await why('b', 0), /not counted: this machine runs b/);
  assert.match(await why('a', 5), /needs root/);
  assert.match(await why('a', 0), /ftrace is not available/);
});

test('calls are counted by the name of the task', () => {
  const trace = `# tracer: function
            bash-1234    [000] .....   100.1: f <-g
   my daemon-12-99      [001] d..1.   100.2: f <-g
            bash-1235    [000] .....   100.3: f <-g
`;
  const { calls, by } = tally(trace);
  assert.equal(calls, 3);
  assert.deepEqual(by, [
    { comm: 'bash', calls: 2 },
    { comm: 'my daemon-12', calls: 1 },
  ]);
  assert.match(usersText({ counted: true, seconds: 5, calls, by }), /called 3 times within 5 s .* bash \(2\)/);
});

test('a shield that has ended is something to do; the manifest says until when', () => {
  const shield = { function: 'f', returns: '-EPERM', log: false, until: '2026-01-15T00:00:00.000Z' };
  const manifest = manifestOf('livepatch_shield_f', { shield });
  assert.deepEqual(parseManifest(JSON.stringify(manifest), 'a.ko').shield, shield);
  assert.equal(shieldTodo('s', manifest, new Date('2026-01-14')), undefined);
  assert.match(shieldTodo('s', manifest, new Date('2026-01-15')) ?? '', /ended on 2026-01-15.*load the fix/);
  assert.equal(shieldTodo('s', manifestOf('livepatch_fix'), new Date()), undefined);
});

test('a manifest with a damaged shield is refused', async () => {
  const manifest = { ...manifestOf('x'), shield: { function: 'f', returns: '-EPERM', log: 'yes' } };
  await provokes('manifest-damaged', () => parseManifest(JSON.stringify(manifest), 'a.ko'));
});

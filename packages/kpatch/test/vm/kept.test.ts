import assert from 'node:assert/strict';
import {
  chmodSync,
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { duplexPair } from 'node:stream';
import { after, test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import type { Guest } from '#kpatch/vm/guest.ts';
import { bootKept } from '#kpatch/vm/kept/kept.ts';
import { KeptFileUnusable, keptFolder, keptWithKey, openKept, tidyKept, writeKept } from '#kpatch/vm/kept/kept-file.ts';
import { Qmp } from '#kpatch/vm/qemu/qmp.ts';
import { provokes } from '../provoke.ts';
import { stockKernel } from './stock-kernel.ts';

const work = temporaryFolder('kpatch-test-');
after(() => work.dispose());
const folder = join(work.path, 'guests');
const { image, release, modules } = await stockKernel();
const accelerated = process.env.KPATCH_VM_ACCEL;
process.env.KPATCH_VM_ACCEL = 'tcg';
after(() => {
  if (accelerated === undefined) delete process.env.KPATCH_VM_ACCEL;
  else process.env.KPATCH_VM_ACCEL = accelerated;
});

/** What a guest prints for a script; the guest is gone afterwards. */
async function tell(script: string, more: { cold?: boolean; files?: Record<string, string> } = {}) {
  const notes: string[] = [];
  const { cold = false, files = {} } = more;
  const guest: Guest = await bootKept(
    { image, files, modules: { folder: modules, available: ['dummy'] }, cpus: 1 },
    { folder, drivers: modules, label: release, cold, onNote: (note) => notes.push(note) },
  );
  try {
    const { output } = await guest.run(script);
    return { output, kept: guest.keptFrom, notes, console: guest.console };
  } finally {
    await guest.stop();
  }
}

const files = (): string[] => readdirSync(folder).filter((name) => name.endsWith('.guest'));
const addressOfText = "grep ' _text$' /proc/kallsyms; ";

test('a guest is booted and kept, then resumed: same kernel, own files, right clock, other random numbers', async () => {
  const random = 'head -c 16 /dev/urandom | od -An -tx1; ';
  const script = `${addressOfText}cat /kpatch/text; wc -c </kpatch/large; modprobe dummy && lsmod; date +%s; ${random}`;
  const first = await tell(script, { files: { '/kpatch/text': 'one\n', '/kpatch/large': 'x'.repeat(1_000_000) } });
  assert.equal(first.kept, undefined, 'nothing was kept before');
  assert.deepEqual(first.notes, []);
  assert.equal(files().length, 1);
  const { mode } = statSync(join(folder, files()[0]!));
  assert.equal(mode & 0o777, 0o600);

  const resumed = [];
  for (const text of ['two\n', 'three\n']) {
    resumed.push(await tell(script, { files: { '/kpatch/text': text, '/kpatch/large': 'y'.repeat(999_999) } }));
  }
  for (const [at, { output, kept }] of resumed.entries()) {
    assert.ok(files()[0]?.includes(kept ?? 'none'));
    const lines = output.split('\n');
    assert.equal(lines[0], first.output.split('\n')[0], 'KASLR is frozen');
    assert.equal(lines[1], at === 0 ? 'two' : 'three');
    assert.equal(lines[2], '999999');
    assert.match(output, /^dummy /m);
    assert.doesNotMatch(output, /^virtio/m, 'the driver that brought the files in was left behind');
    const clock = Number(/^\d{10}$/m.exec(output)?.[0]);
    assert.ok(Math.abs(clock - Date.now() / 1000) < 120, `the clock says ${clock}`);
  }
  const numbers = [first, ...resumed].map(({ output }) => output.trim().split('\n').at(-1));
  assert.equal(new Set(numbers).size, 3, `random numbers are repeated: ${numbers.join('; ')}`);
});

test('--cold boots all the same, with addresses of its own, and the guest is kept beside the other', async () => {
  const { output, kept } = await tell(addressOfText, { cold: true });
  assert.equal(kept, undefined);
  assert.equal(files().length, 2);
  const other = await tell(addressOfText);
  assert.ok(other.kept !== undefined);
  assert.match(output, /^[0-9a-f]{16} T _text$/m);
});

test('damaged and foreign files are removed, with a note, and the guest is created again', async () => {
  const [one, two] = files() as [string, string];
  const fd = openSync(join(folder, one), 'r+');
  writeSync(fd, Buffer.from('damage'), 0, 6, 40_000_000);
  closeSync(fd);
  chmodSync(join(folder, two), 0o644);
  const { kept, notes } = await tell('true');
  assert.equal(kept, undefined);
  assert.match(notes.join('\n'), /damaged: the digest differs/);
  assert.match(notes.join('\n'), /other users may read or write it/);
  assert.ok(!existsSync(join(folder, one)) && !existsSync(join(folder, two)));
  assert.equal(files().length, 1);
});

test('a folder that others may write to, or that is none, is not used', () => {
  using shelf = temporaryFolder('kpatch-test-');
  const open = join(shelf.path, 'open');
  keptFolder(open);
  assert.equal(statSync(open).mode & 0o777, 0o700);
  chmodSync(open, 0o777);
  assert.throws(() => keptFolder(open), /other users may write to/);
  const link = join(shelf.path, 'link');
  symlinkSync(shelf.path, link);
  assert.throws(() => keptFolder(link), KeptFileUnusable);
});

test('the oldest are removed: those of one key beyond their number, and all beyond the total size', () => {
  using shelf = temporaryFolder('kpatch-test-');
  const made = (key: string, age: number): string => {
    const writer = writeKept(shelf.path, '6.1.0', { key, made: String(age), console: '' });
    writer.write(Buffer.alloc(36 * 1024));
    const path = writer.finish();
    utimesSync(path, 1_000_000 - age, 1_000_000 - age);
    return path;
  };
  const a = '0123456789abcdef';
  const b = 'fedcba9876543210';
  const [a1, a2, a3] = [1, 2, 3].map((age) => made(a, age));
  const [b4, b5] = [4, 5].map((age) => made(b, age));
  tidyKept(shelf.path, a, 2, 310_000);
  assert.deepEqual(
    [a1, a2, a3, b4, b5].map((path) => existsSync(path!)),
    [true, true, false, true, false],
  );
});

test('a file is not used when its header is not of this key', () => {
  using shelf = temporaryFolder('kpatch-test-');
  const key = '0123456789abcdef';
  const path = writeKept(shelf.path, '6.1.0', { key: 'fedcba9876543210', made: '', console: '' }).finish();
  assert.throws(() => openKept(path, key), KeptFileUnusable);
  const short = join(shelf.path, `6.1.0-${key}-${'0'.repeat(64)}.guest`);
  writeFileSync(short, 'short', { mode: 0o600 });
  assert.throws(() => openKept(short, key), /header is damaged/);
  assert.deepEqual(keptWithKey(shelf.path, key), [short]);
});

test('a command that QEMU refuses is an error with its words', async () => {
  const [ours, qemu] = duplexPair();
  qemu.write('{"QMP": {}}\r\n');
  qemu.on('data', (chunk: Buffer) => {
    const { execute } = JSON.parse(chunk.toString()) as { execute: string };
    const answer = execute === 'qmp_capabilities' ? { return: {} } : { error: { desc: 'not now' } };
    qemu.write(`{"event": "STOP"}\n${JSON.stringify(answer)}\n`);
  });
  const monitor = new Qmp(ours);
  await monitor.ready;
  await monitor.event('STOP');
  const error = await provokes('guest-monitor', () => monitor.run('migrate'));
  assert.match(error.message, /`migrate`: not now/);
});

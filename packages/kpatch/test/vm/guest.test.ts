import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { boot } from '#kpatch/vm/boot.ts';
import type { initramfs } from '#kpatch/vm/files/initramfs.ts';
import { moduleFiles } from '#kpatch/vm/files/modules.ts';
import { type MemoryPlace, takePlace } from '#kpatch/vm/qemu/budget.ts';
import { provokes } from '../provoke.ts';
import { stockKernel } from './stock-kernel.ts';

const folder = mkdtempSync(join(tmpdir(), 'kpatch-test-'));
after(() => rmSync(folder, { recursive: true }));
const { image, release, modules } = await stockKernel();

/** True while a process with this number exists and is not a zombie. */
function alive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function gone(pid: number): Promise<void> {
  for (let i = 0; i < 1200 && alive(pid); i++) await delay(50);
  assert.equal(alive(pid), false, 'QEMU was left behind');
}

test('no command is lost while orphans end', async () => {
  const guest = await boot({ image });
  try {
    // Each `(true &)` leaves an orphan to init.
    await guest.run('(while [ ! -e /tmp/enough ]; do (true &); done) </dev/null >/dev/null 2>&1 &');
    for (let i = 0; i < 60; i++) {
      const { output } = await guest.run(`echo ${i}`, { step: `command ${i}`, deadlineMs: 60_000 });
      assert.equal(output, `${i}\n`);
    }
    await guest.run('touch /tmp/enough');
  } finally {
    await guest.stop();
  }
});

test('a guest runs the kernel given, with the files and modules given, step by step', async () => {
  const guest = await boot({
    image,
    files: { '/with blank/text': 'hello', 'bin/own': { content: '#!/bin/sh\necho own $1; exit 3\n', mode: 0o755 } },
    modules: { folder: modules, load: ['virtio_pci'], available: ['ext4'] },
  });
  const { pid } = guest;
  try {
    assert.equal((await guest.run('uname -r')).output, `${release}\n`);
    assert.equal((await guest.run('cat "/with blank/text"')).output, 'hello');
    assert.deepEqual(await guest.run('own x').then(({ status, output }) => ({ status, output })), {
      status: 3,
      output: 'own x\n',
    });
    assert.match((await guest.run('lsmod; modprobe ext4 && cat /proc/filesystems')).output, /virtio_pci(.|\n)*ext4\n/);

    const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff));
    await guest.put('/new/folder/file', bytes, 0o755);
    assert.ok((await guest.get('/new/folder/file')).equals(bytes));
    await provokes('guest-step-failed', () => guest.get('/not/there'));
    assert.match((await guest.run('ls -l /new/folder/file')).output, /^-rwxr-xr-x/);

    const seen: string[] = [];
    // The guest goes on whether this process has time to look or not, so that it may see some lines at once, but not all.
    const lines = 'for n in 1 2 3 4 5 6 7 8 9; do echo $n; sleep 0.5; done; echo end';
    await guest.run(lines, { onOutput: (text) => seen.push(text) });
    assert.equal(seen.join(''), '1\n2\n3\n4\n5\n6\n7\n8\n9\nend\n');
    assert.ok(seen.length >= 2, 'output does not come while the script runs');

    const long = `${'# a comment to make it long\n'.repeat(2000)}echo end`;
    assert.equal((await guest.run(long)).output, 'end\n');
    assert.equal((await provokes('guest-step-failed', () => guest.runOk('echo why; false'))).detail, 'why\n');
    assert.equal((await guest.run('yes garbage | head -c 400000')).output.length < 300_000, true);
    assert.equal((await guest.run('echo still there')).output, 'still there\n');

    const crash = await provokes('guest-panicked', () => guest.run('echo c >/proc/sysrq-trigger'));
    assert.match(crash.message, /sysrq triggered crash/);
    assert.match(crash.detail ?? '', /Kernel panic/);
    await provokes('guest-panicked', () => guest.run('echo after'));
  } finally {
    await guest.stop();
  }
  await gone(pid);
});

test('a guest that hangs in a step is ended at the deadline', async () => {
  const guest = await boot({ image, cpus: 1 });
  await provokes('guest-hung', () => guest.run('sleep 1000', { deadlineMs: 500 }));
  await gone(guest.pid);
});

test('guests that never come up are distinguished, in bounded time, with their console', async () => {
  const init = (text: string): string => `#!/bin/sh\n${text}\n`;
  // The kernel of the guest that hangs must have come to its init by then, also on a machine that is slow without being busy.
  const short = { image, cpus: 1, bootDeadlineMs: 45_000 };
  const ending = async (): Promise<void> => {
    const dies = await provokes('guest-panicked', () =>
      boot({ ...short, bootDeadlineMs: 120_000, init: init('exit 1') }),
    );
    assert.match(dies.message, /Attempted to kill init/);
    const off = init('/bin/busybox mount -t proc proc /proc; /bin/busybox poweroff -f');
    await provokes('guest-ended', () => boot({ ...short, bootDeadlineMs: 120_000, init: off }));
  };
  const hanging = async (): Promise<void> => {
    const hangs = init('echo here I hang; exec /bin/busybox sleep 1000');
    const hung = await provokes('guest-not-booted', () => boot({ ...short, init: hangs }));
    assert.match(hung.detail ?? '', /here I hang/);
  };
  const flooding = async (): Promise<void> => {
    const noise = init('exec /bin/busybox yes flooding the console');
    const flood = await provokes('guest-not-booted', () => boot({ ...short, init: noise }));
    assert.ok((flood.detail ?? '').length < 10_000);
  };
  await Promise.all([ending(), hanging(), flooding()]);
});

test('an image that is no kernel is an error in the words of QEMU, or silence', async () => {
  const path = join(folder, 'no-kernel');
  writeFileSync(path, 'this is no kernel');
  const error = await provokes('guest-ended', () => boot({ image: path, acceleration: 'tcg' }));
  assert.match(error.detail ?? '', /qemu/);
  // A kernel image by its header only (boot protocol 2.00, loaded low, one sector of setup): it halts at once.
  const header = Buffer.alloc(0x1000, 0xf4);
  header.writeUInt8(1, 0x1f1);
  header.writeUInt16LE(0xaa55, 0x1fe);
  header.write('HdrS', 0x202, 'latin1');
  header.writeUInt16LE(0x200, 0x206);
  header.writeUInt8(1, 0x211);
  writeFileSync(path, header);
  await provokes('guest-silent', () => boot({ image: path, acceleration: 'tcg', bootDeadlineMs: 1500 }));
});

test('no QEMU is left behind when its owner is killed', async () => {
  const script = `
    import { boot } from ${JSON.stringify(join(import.meta.dirname, '../../vm/boot.ts'))};
    const guest = await boot({ image: ${JSON.stringify(image)}, cpus: 1 });
    console.log(guest.pid);
    await guest.run('sleep 1000', { deadlineMs: 100000 });`;
  for (const signal of ['SIGKILL', 'SIGINT'] as const) {
    const owner = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const ended = new Promise((resolve) => owner.once('exit', resolve));
    const pid = Number(await new Promise((resolve) => owner.stdout.once('data', resolve)));
    assert.ok(alive(pid));
    owner.kill(signal);
    await ended;
    await gone(pid);
  }
});

test('guests wait for memory, and one that can never have it is refused', async () => {
  await provokes('guest-memory', () => takePlace(1_000_000_000, 0));
  const first = await takePlace(16);
  first.release();
});

test('guests that wait start in the order in which they came', async () => {
  const places = mkdtempSync(join(folder, 'places-'));
  const take = (waitMs?: number): Promise<MemoryPlace> => takePlace(16, waitMs, undefined, places);
  const held: MemoryPlace[] = [];
  await assert.rejects(async () => {
    for (;;) held.push(await take(0));
  });
  assert.ok(held.length > 1);
  const order: string[] = [];
  const waiting: Promise<MemoryPlace>[] = [];
  const inLine = (): number => readdirSync(places).filter((name) => name.startsWith('waiting-')).length;
  for (const name of ['one', 'two', 'three']) {
    const place = take();
    waiting.push(place);
    void place.then(() => order.push(name));
    while (inLine() < waiting.length) await delay(20);
    await delay(20); // the next one comes later by the clock too
  }
  for (const [at, place] of [held[0]!, held[1]!].entries()) {
    place.release();
    // One that comes now has its turn after those that wait.
    await assert.rejects(take(0));
    await waiting[at];
  }
  (await waiting[0]!).release();
  await waiting[2];
  assert.deepEqual(order, ['one', 'two', 'three']);
  for (const place of [...held.slice(2), ...waiting.slice(1)]) (await place).release();
  assert.deepEqual(
    readdirSync(places).filter((name) => name.endsWith('.json')),
    [],
  );
});

test('a module that the kernel does not have is named', async () => {
  const error = await provokes('guest-module', () => moduleFiles({ folder: modules, load: ['no-such-module'] }));
  assert.match(error.message, /no-such-module/);
});

test('a machine without a static busybox is told so', async () => {
  const path = process.env.PATH;
  process.env.PATH = folder;
  try {
    // The reader remembers what it found, so a fresh copy of the module is asked.
    const fresh = (await import(`../../vm/files/initramfs.ts?fresh=${Date.now()}`)) as { initramfs: typeof initramfs };
    await provokes('busybox-missing', () => fresh.initramfs({}, ''));
  } finally {
    process.env.PATH = path;
  }
});

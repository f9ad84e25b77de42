/** `kpatch try`: a command, then a shell on a terminal, in a guest that runs the patched kernel. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';

const root = join(import.meta.dirname, '../../../..');
const program = join(root, 'bin/kpatch');
const work = temporaryFolder('kpatch-test-');
after(() => work.dispose());

before(async () => {
  const { release } = await prepareKernel(undefined, { report: silentReporter() });
  const patch = join(root, 'examples/meminfo.patch');
  const built = spawnSync(program, ['build', patch, '-k', release, '-o', join(work.path, 'livepatch_meminfo.ko')]);
  assert.equal(built.status, 0, built.stderr.toString());
  // QEMU runs as a user that owns nothing.
  chmodSync(work.path, 0o755);
  writeFileSync(join(work.path, 'here'), 'a file of the host\n', { mode: 0o644 });
});

test('a command runs in the patched guest, reads the folder and cannot write it, loads and unloads', () => {
  const command = `cat here; echo no >here || echo refused
kpatch list; grep -i chunk /proc/meminfo; kpatch unload; grep -i chunk /proc/meminfo; kpatch load; kpatch list; exit 7`;
  const options = { cwd: work.path, encoding: 'utf8' } as const;
  const { status, stdout } = spawnSync(program, ['try', 'livepatch_meminfo.ko', '-c', command, '--json'], options);
  assert.equal(status, 1, stdout);
  const done = JSON.parse(stdout) as { output: string; status: number; shared: boolean; loaded: boolean };
  assert.deepEqual([done.status, done.shared, done.loaded], [7, true, true]);
  assert.match(
    done.output,
    /^a file of the host\n.*refused\nlivepatch_meminfo \[enabled\]\n {2}vmlinux\/meminfo_proc_show,1\nVMALLOCCHUNK: .*\nlivepatch_meminfo was unloaded\nVmallocChunk: .*\nlivepatch_meminfo is loaded and active\nlivepatch_meminfo \[enabled\]\n/s,
  );
});

test('a shell on a terminal, until exit', async () => {
  const child = spawn('script', ['-qec', `${program} try livepatch_meminfo.ko --no-load`, '/dev/null'], {
    cwd: work.path,
    env: { ...process.env, TERM: 'xterm', SHELL: '/bin/sh' },
    timeout: 600_000,
  });
  const typed = ['kpatch list\r', 'kpatch load\r', 'pwd\r', 'exit\r'];
  let seen = '';
  child.stdout.on('data', (chunk: Buffer) => {
    seen += chunk.toString();
    while (typed.length > 0 && seen.split('guest# ').length - 1 > 4 - typed.length) child.stdin.write(typed.shift()!);
  });
  const status = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(status, 0, seen);
  const plain = seen.replace(/\r+\n/g, '\n');
  assert.match(plain, /no patch is loaded\n(.|\n)*livepatch_meminfo is loaded and active\n(.|\n)*\n\/mnt\n/);
});

test('a shell needs a terminal, and a module its own kernel', () => {
  const { status, stderr } = spawnSync(program, ['try', 'livepatch_meminfo.ko'], { cwd: work.path, encoding: 'utf8' });
  assert.equal(status, 2);
  assert.match(stderr, /a shell needs a terminal; --command SCRIPT needs none/);
  const other = spawnSync(program, ['try', 'livepatch_meminfo.ko', '-k', '9.9.9', '-c', 'true'], { cwd: work.path });
  assert.notEqual(other.status, 0);
});

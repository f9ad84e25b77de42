/**
 * Kernels of one's own (`--image --headers --source`): configured and built by the test, by gcc in its source folder and by
 * clang and lld beside it, patched, and the patch loaded into them. Part of the long form only (KPATCH_SOAK=1): each kernel
 * takes minutes.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { runOk } from '#kpatch/base/run.ts';
import { build } from '#kpatch/builder/build.ts';
import type { CustomParts } from '#kpatch/distro/custom/custom.ts';
import { prepareCustomKernel } from '#kpatch/prepare/kernel.ts';
import { boot } from '#kpatch/vm/boot.ts';
import { buildKernel, kernelSource, type SmallKernel } from '../kernel/small-kernel.ts';
import { provokes } from '../provoke.ts';
import { sourcePatch } from '../source/source-patch.ts';

const skip = process.env.KPATCH_SOAK !== '1' && 'takes minutes: make soak';
const folder = temporaryFolder('kpatch-own-kernel-');
const root = join(import.meta.dirname, '../../../..');
let source = '';
let patch = '';

before(async () => {
  if (skip !== false) return;
  process.env.XDG_CACHE_HOME = join(folder.path, 'cache');
  source = await kernelSource(folder.path);
  patch = writePatch(source, 'fix');
});

/** A patch of a function of the kernel image and of one in a module. */
function writePatch(tree: string, name: string): string {
  const file = join(folder.path, `${name}.patch`);
  const text = sourcePatch(tree, {
    'fs/proc/meminfo.c': (text) => text.replace('"VmallocChunk:   ", 0ul', '"VmallocChunk:   ", 4242ul'),
    'fs/binfmt_misc.c': (text) => text.replace('"enabled\\n"', '"enabled, patched\\n"'),
  });
  writeFileSync(file, text);
  return file;
}

after(async () => {
  const cache = join(folder.path, 'cache');
  if (existsSync(cache)) await runOk('chmod', ['-R', 'u+w', cache]);
  folder.dispose();
});

/** Loads the patch into its kernel and looks at what it does. */
async function seen({ image, modules }: SmallKernel, module: Uint8Array, name: string): Promise<void> {
  const misc = readFileSync(join(modules, 'kernel/fs/binfmt_misc.ko'));
  await using guest = await boot({ image, files: { '/fix.ko': module, '/misc.ko': misc } });
  const { output } = await guest.run(
    `grep VmallocChunk /proc/meminfo
insmod /fix.ko || echo insmod failed
while [ "$(cat /sys/kernel/livepatch/${name}/transition)" = 1 ]; do sleep 0.2; done
grep VmallocChunk /proc/meminfo
insmod /misc.ko && mount -t binfmt_misc none /mnt && cat /mnt/status
umount /mnt && rmmod binfmt_misc
echo 0 > /sys/kernel/livepatch/${name}/enabled
while [ -d /sys/kernel/livepatch/${name} ]; do sleep 0.2; done
rmmod ${name} && grep VmallocChunk /proc/meminfo
dmesg | grep -E 'WARNING|BUG|Oops|Unpatched' || echo log clean`,
    { deadlineMs: 120_000 },
  );
  const values = [...output.matchAll(/VmallocChunk:\s+(\d+) kB/g)].map(([, value]) => value);
  assert.deepEqual(values, ['0', String(4 * 4242), '0'], output);
  assert.match(output, /^enabled, patched$/m);
  assert.match(output, /log clean/);
}

async function patched(kernel: SmallKernel, parts: CustomParts, compiler: RegExp, file = patch): Promise<void> {
  const request = {
    patches: [file],
    parts,
    cves: [],
    replace: true,
    skipCompilerCheck: false,
    keepLineChanges: false,
  };
  const result = await build(request, silentReporter());
  assert.equal(result.kernel.release, kernel.release);
  assert.match(result.kernel.compiler.command, compiler);
  const functions = result.functions.map(({ name, object, digest }) => [name, object, digest !== undefined]);
  assert.deepEqual(functions.sort(), [
    ['bm_status_read', 'binfmt_misc', true],
    ['meminfo_proc_show', 'vmlinux', true],
  ]);
  await seen(kernel, result.module, result.name);
}

describe('a kernel built by the test', { skip, concurrency: 1 }, () => {
  // By features, not by distribution: each of these series has other structures, tables and rules of objtool.
  for (const [series, release] of [
    ['5.10', '11'],
    ['6.12', '13'],
    ['7.2', '14'],
  ] as const) {
    test(`of Linux ${series}`, async () => {
      const name = `small-${series.replace('.', '-')}`;
      const tree = await kernelSource(folder.path, series, release);
      const kernel = await buildKernel(tree, tree, name, ['CC=gcc-12']);
      const parts = { image: kernel.image, headers: tree, source: tree, modules: kernel.modules };
      await patched(kernel, parts, /^gcc/, writePatch(tree, name));
      await runOk('rm', ['-rf', tree]);
    });
  }

  test('by clang and lld in a folder of its own', async () => {
    const kernel = await buildKernel(source, join(folder.path, 'clang'), 'small-clang', ['LLVM=-14']);
    const parts = { image: kernel.image, headers: kernel.built, source, modules: kernel.modules };
    await patched(kernel, parts, /^clang/);
  });

  test('by gcc in its source, with kpatch and with kpatch-build -s', async () => {
    const kernel = await buildKernel(source, source, 'small-gcc', ['CC=gcc-12']);
    const { image, modules, vmlinux } = kernel;
    const parts = { image, headers: source, source, modules, debugImage: vmlinux };
    await patched(kernel, parts, /^gcc/);
    const foreign = join(folder.path, 'clang/vmlinux');
    await provokes('kernel-release-mismatch', () =>
      prepareCustomKernel({ ...parts, debugImage: foreign }, { report: silentReporter() }),
    );
    const output = join(folder.path, 'output');
    mkdirSync(output);
    const args = ['-s', source, '-c', join(source, '.config'), '-v', vmlinux, '-t', 'vmlinux', '-o', output, patch];
    const env = { ...process.env, HOME: join(folder.path, 'home') };
    const made = spawnSync(join(root, 'bin', 'kpatch-build'), args, { encoding: 'utf8', env });
    assert.equal(made.status, 0, made.stderr);
    assert.match(made.stdout, /^Building patch module: livepatch-fix\.ko\nSUCCESS$/m);
    assert.deepEqual(readdirSync(output), ['livepatch-fix.ko']);
    await seen(kernel, readFileSync(join(output, 'livepatch-fix.ko')), 'livepatch_fix');
  });
});

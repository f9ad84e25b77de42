/** The drop-in `kpatch-build`: options, messages, and the lines that scripts look for; the last test builds for a stock kernel. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { checkVmlinux } from '#kpatch/compat/kpatch-build.ts';
import { defaultName, Ending, type KpatchBuildOptions, parseOptions } from '#kpatch/compat/kpatch-build-options.ts';
import { readManifest } from '#kpatch/module/manifest.ts';
import { stockKernel } from '../vm/stock-kernel.ts';

let folder = '';
let patch = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-build-test-'));
  patch = join(folder, 'fix one.patch');
  writeFileSync(patch, 'no matter\n');
  for (const name of ['vmlinux', 'config', 'kernel-5.14.0-1.el9.src.rpm', 'out.ko'])
    writeFileSync(join(folder, name), '');
  mkdirSync(join(folder, 'source'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string): string => join(folder, name);
const parsed = (...words: readonly string[]): KpatchBuildOptions => parseOptions([...words, patch]);

function ends(words: readonly string[], message: RegExp): void {
  assert.throws(
    () => parseOptions(words),
    (error) => error instanceof Ending && message.test(error.message) && error.status === 1,
  );
}

describe('the options of kpatch-build', () => {
  test('short, long, joined and shortened forms mean the same', () => {
    for (const words of [
      ['-a', '6.1.0-9-amd64', '-j', '3', '-n', 'my fix', '-o', folder, '-R', '-d', '-d'],
      ['--archversion=6.1.0-9-amd64', '--jobs', '3', '--name=my fix', '--output', folder, '--non-replace', '-dd'],
      ['-a6.1.0-9-amd64', '-j3', '-nmy fix', `-o${folder}`, '-Rdd'],
      ['--arch', '6.1.0-9-amd64', '--jo=3', '--na', 'my fix', '--out', folder, '--non', '--debug', '--deb'],
    ]) {
      const options = parsed(...words);
      assert.equal(options.archversion, '6.1.0-9-amd64', words.join(' '));
      assert.equal(options.jobs, 3);
      assert.equal(options.name, 'my-fix');
      assert.equal(options.output, folder);
      assert.equal(options.replace, false);
      assert.equal(options.debug, 2);
      assert.deepEqual(options.patches, [patch]);
    }
  });

  test('what is not given is as dynup/kpatch has it', () => {
    const { replace, debug, skipCleanup, skipCompilerCheck, output, archversion } = parsed();
    assert.deepEqual(
      { replace, debug, skipCleanup, skipCompilerCheck, output, archversion },
      {
        replace: true,
        debug: 0,
        skipCleanup: false,
        skipCompilerCheck: false,
        output: process.cwd(),
        archversion: undefined,
      },
    );
  });

  test('every other option is taken', () => {
    const files = ['-s', at('source'), '-c', at('config'), '-v', at('vmlinux'), '-t', 'vmlinux', '-t', 'modules'];
    const options = parsed(...files, '--skip-cleanup', '--skip-compiler-check');
    assert.equal(options.sourcedir, at('source'));
    assert.equal(options.config, at('config'));
    assert.equal(options.vmlinux, at('vmlinux'));
    assert.ok(options.skipCleanup && options.skipCompilerCheck);
    assert.ok(parsed('--skip-gcc-check').skipCompilerCheck);
    const oot = parsed('--oot-module', at('out.ko'), '--oot-module-src', at('source'));
    assert.deepEqual([oot.ootModule, oot.ootModuleSrc], [at('out.ko'), at('source')]);
    assert.equal(parsed('-r', at('kernel-5.14.0-1.el9.src.rpm')).sourcerpm, at('kernel-5.14.0-1.el9.src.rpm'));
    assert.deepEqual(parseOptions(['--', patch]).patches, [patch]);
  });

  test('what is missing, wrong or excluded ends with the message of dynup/kpatch', () => {
    ends([], /^no patch file\(s\) specified$/);
    ends(['none.patch'], /^patch file 'none\.patch' not found$/);
    ends(['-s', at('none'), patch], /^source dir '.*none' not found$/);
    ends(['-s', at('config'), patch], /^source dir '.*config' not found$/);
    ends(['-v', at('none'), patch], /^vmlinux file '.*' not found$/);
    ends(['-c', at('none'), patch], /^config file '.*' not found$/);
    ends(['-r', at('none'), patch], /^source rpm '.*' not found$/);
    ends(['-o', at('none'), patch], /^output dir '.*' not found$/);
    ends(['--oot-module', at('none'), patch], /^out-of-tree module '.*' not found$/);
    ends(['--oot-module', at('out.ko'), patch], /^--oot-module requires --oot-module-src$/);
    ends(['-j', '0', patch], /^Invalid number of make jobs '0'$/);
    ends(['-a', 'x', '-v', at('vmlinux'), patch], /^--archversion is incompatible with --vmlinux$/);
    ends(['-a', 'x', '-s', at('source'), patch], /^--archversion is incompatible with --sourcedir$/);
    ends(
      ['-a', 'x', '-r', at('kernel-5.14.0-1.el9.src.rpm'), patch],
      /^--archversion is incompatible with --sourcerpm$/,
    );
    ends(['--nonsense', patch], /^getopt failed/);
    ends(['--skip', patch], /ambiguous/);
    ends(['-a'], /^getopt failed/);
  });

  test('names of modules', () => {
    assert.equal(defaultName(['/x/0001-fix.a b.patch']), 'livepatch-0001-fix-a-b');
    assert.equal(defaultName(['a.patch', 'b.patch']), 'livepatch-patch');
    assert.equal(defaultName([`${'x'.repeat(80)}.diff`]).length, 48);
  });
});

test('a vmlinux that is named has to be that of the kernel', async () => {
  const file = at('small');
  const id = '0123456789'.repeat(4);
  const args = ['-x', 'c', '-', '-nostdlib', '-shared', `-Wl,--build-id=0x${id}`, '-o', file];
  assert.equal(spawnSync('gcc', args, { input: 'int a;' }).status, 0);
  await checkVmlinux({ vmlinux: file }, { kernel: { release: 'x', buildId: id } });
  await assert.rejects(
    () => checkVmlinux({ vmlinux: file }, { kernel: { release: 'x', buildId: id.replace('0', 'f') } }),
    (error) => error instanceof Ending && /small is not the vmlinux of x/.test(error.message),
  );
});

describe('kpatch-build', () => {
  interface Ended {
    readonly status: number | null;
    readonly stdout: string;
    readonly stderr: string;
  }

  /** Runs the program with its log and scratch files in the test's folder. */
  function run(...words: readonly string[]): Ended {
    const program = join(import.meta.dirname, '../../../../bin/kpatch-build');
    const env = { ...process.env, CACHEDIR: at('cache') };
    return spawnSync(program, words, { encoding: 'utf8', env });
  }

  test('help, and an error before anything is begun', () => {
    const help = run('--help');
    assert.equal(help.status, 0);
    assert.match(help.stderr, /^usage: kpatch-build \[options\] <patch1 \.\.\. patchN>/);
    const nothing = run();
    assert.equal(nothing.status, 1);
    assert.match(nothing.stderr, /^ERROR: no patch file\(s\) specified\.\nusage:/);
    assert.ok(!existsSync(at('cache')));
  });

  test('a kernel that nobody knows, a patch that is none: status 1, the reason, and where the log is', () => {
    const { status, stderr } = run('-a', '6.1.0-9999-amd64', patch);
    assert.equal(status, 1);
    assert.match(
      stderr,
      /ERROR: .*fix one\.patch file failed to apply\. Check .*cache\/build\.log for more details\.\n$/,
    );
    assert.match(readFileSync(at('cache/build.log'), 'utf8'), /is not a patch/);
  });

  test('a build prints the lines that scripts know, in their order, and leaves the module where told', async () => {
    const { release } = await stockKernel();
    const fix = at('meminfo.patch');
    const lines = [
      '"VmallocUsed:    ", vmalloc_nr_pages()',
      '"VmallocChunk:   ", 0ul',
      '"Percpu:         ", pcpu_nr_pages()',
    ];
    const [before, changed, behind] = lines.map((text) => `\tshow_val_kb(m, ${text});`);
    const hunk = [
      '@@ -130,3 +130,3 @@',
      ` ${before}`,
      `-${changed}`,
      `+${changed!.replace('0ul', '1ul')}`,
      ` ${behind}`,
    ];
    writeFileSync(fix, ['--- a/fs/proc/meminfo.c', '+++ b/fs/proc/meminfo.c', ...hunk, ''].join('\n'));
    mkdirSync(at('modules'));
    const built = run('-a', release, '-o', at('modules'), '-j', '2', '--skip-cleanup', '-R', '-t', 'vmlinux', fix);
    assert.equal(built.status, 0, built.stderr);
    assert.deepEqual(built.stdout.split('\n'), [
      'Skipping cleanup',
      'Testing patch file(s)',
      'Reading special section data',
      'Building original source',
      'Building patched source',
      'Extracting new and modified ELF sections',
      'meminfo.o: changed function: meminfo_proc_show',
      'Patched objects: vmlinux',
      'Building patch module: livepatch-meminfo.ko',
      'SUCCESS',
      '',
    ]);
    assert.deepEqual(readdirSync(at('modules')), ['livepatch-meminfo.ko']);
    const manifest = readManifest(readFileSync(at('modules/livepatch-meminfo.ko')));
    assert.equal(manifest?.name, 'livepatch_meminfo');
    assert.equal(manifest?.replace, false);
    assert.match(readFileSync(at('cache/tmp/glue.c'), 'utf8'), /klp_enable_patch/);
    const again = run('-a', release, '-o', at('modules'), '-c', at('config'), '-n', 'other', fix);
    assert.equal(again.status, 1, 'an empty configuration is not that of the kernel');
    assert.match(again.stderr, /config is not the configuration of /);
    writeFileSync(fix, readFileSync(fix, 'utf8').replace('1ul);', '0ul); /* none */'));
    const same = run('-a', release, '-o', at('modules'), fix);
    assert.equal(same.status, 1);
    assert.match(same.stderr, /ERROR: no functional changes found\./);
  });
});

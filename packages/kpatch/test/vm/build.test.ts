/** The main job on the newest stock kernel: a source patch becomes a module that changes the running kernel. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { silentReporter } from '#kpatch/base/report.ts';
import { readManifest } from '#kpatch/module/manifest.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { sourcePatch } from '../source/source-patch.ts';
import { resumed } from './resumed.ts';

const root = join(import.meta.dirname, '../../../..');
let folder = '';
/** The kernel that was built for. */
let release = '';

before(async () => {
  // The newest kernel of the package sources: the one that runs here may not be patchable.
  release = (await prepareKernel(undefined, { report: silentReporter() })).release;
  folder = mkdtempSync(join(tmpdir(), 'kpatch-test-'));
  mkdirSync(join(folder, 'tmp'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly status: number | null;
  readonly document: Record<string, unknown>;
}

function kpatch(...args: string[]): Ended {
  const env = { ...process.env, TMPDIR: join(folder, 'tmp') };
  const options = { encoding: 'utf8', cwd: folder, env } as const;
  const { status, stdout } = spawnSync(join(root, 'bin', 'kpatch'), [...args, '--json'], options);
  return { status, document: JSON.parse(stdout) as Record<string, unknown> };
}

/** A patch of one hunk against fs/proc/meminfo.c. */
function meminfoPatch(removed: string, added: string): string {
  return [
    '--- a/fs/proc/meminfo.c',
    '+++ b/fs/proc/meminfo.c',
    '@@ -130,3 +130,3 @@',
    ' \tshow_val_kb(m, "VmallocUsed:    ", vmalloc_nr_pages());',
    `-${removed}`,
    `+${added}`,
    ' \tshow_val_kb(m, "Percpu:         ", pcpu_nr_pages());',
    '',
  ].join('\n');
}
const line = '\tshow_val_kb(m, "VmallocChunk:   ", 0ul);';

/** A file that the kernel does not have, with data, a lock and a warning of its own. */
const newSource = `#include <linux/export.h>
#include <linux/mutex.h>

static DEFINE_MUTEX(extra_lock);
static unsigned long extra_calls = 100;

unsigned long extra_value(void);
unsigned long extra_value(void)
{
	unsigned long calls;

	mutex_lock(&extra_lock);
	calls = ++extra_calls;
	mutex_unlock(&extra_lock);
	WARN_ONCE(calls == 0, "wrapped");
	return calls;
}
EXPORT_SYMBOL_GPL(extra_value);
`;

describe('kpatch build', { concurrency: 1 }, () => {
  test('--plan says what would be compiled and changed, and writes nothing', () => {
    writeFileSync(join(folder, 'plan.patch'), meminfoPatch(line, '\tshow_val_kb(m, "VmallocChunk:   ", 1ul);'));
    const before = readdirSync(folder);
    const { status, document } = kpatch('build', '-k', release, '--plan', 'plan.patch');
    assert.equal(status, 0, JSON.stringify(document));
    const { units, functions, leftOut } = document as {
      units: { object: string; owners: string[]; through: string[] }[];
      functions: { name: string; cause: { kind: string } }[];
      leftOut: string[];
    };
    assert.deepEqual(units, [{ object: 'fs/proc/meminfo.o', owners: ['vmlinux'], through: ['fs/proc/meminfo.c'] }]);
    // proc_meminfo_init only takes its address.
    assert.deepEqual(
      functions.map(({ name, cause }) => [name, cause.kind]),
      [['meminfo_proc_show', 'edited']],
    );
    assert.deepEqual(leftOut, []);
    assert.deepEqual(readdirSync(folder), before);
  });

  test('a one-line fix becomes a module that the stock kernel runs', async () => {
    writeFileSync(join(folder, 'fix.patch'), meminfoPatch(line, '\tshow_val_kb(m, "VmallocChunk:   ", 4242ul);'));
    const { status, document } = kpatch('build', '-k', release, 'fix.patch', '-o', 'fix.ko', '--cve', 'CVE-2026-0001');
    assert.equal(status, 0, JSON.stringify(document));
    assert.equal(document.schema, 'kpatch.build/1');
    const functions = document.functions as { name: string; kind: string; object: string }[];
    assert.deepEqual(
      functions.map(({ name, kind, object }) => [name, kind, object]),
      [['meminfo_proc_show', 'changed', 'vmlinux']],
    );
    const module = readFileSync(join(folder, 'fix.ko'));
    const manifest = readManifest(module);
    assert.equal(document.release, release);
    assert.equal(manifest?.release, release);
    assert.deepEqual(manifest?.cves, ['CVE-2026-0001']);
    const shown = kpatch('kernel', 'show', String(document.release));
    const { paths } = (shown.document.kernel ?? shown.document) as { paths: { image: string; modules: string } };
    const guest = await resumed({ release, paths }, { files: { '/fix.ko': module } });
    try {
      const name = 'livepatch_fix';
      const { output } = await guest.run(
        `grep VmallocChunk /proc/meminfo
insmod /fix.ko || echo insmod failed
while [ "$(cat /sys/kernel/livepatch/${name}/transition)" = 1 ]; do sleep 0.2; done
grep VmallocChunk /proc/meminfo
echo 0 > /sys/kernel/livepatch/${name}/enabled
while [ -d /sys/kernel/livepatch/${name} ]; do sleep 0.2; done
rmmod ${name} && grep VmallocChunk /proc/meminfo
dmesg | grep -E 'WARNING|BUG|Oops|Unpatched' || echo log clean`,
      );
      const values = [...output.matchAll(/VmallocChunk:\s+(\d+) kB/g)].map(([, value]) => value);
      assert.deepEqual(values, ['0', String(4 * 4242), '0'], output);
      assert.match(output, /log clean/);
    } finally {
      await guest.stop();
    }
  });

  test("a module's new code may use what vmlinux does not export, also when the module comes later; a new source file", async () => {
    const shown = kpatch('kernel', 'show', release);
    const { paths } = (shown.document.kernel ?? shown.document) as {
      paths: Record<'image' | 'tree' | 'modules', string>;
    };
    const text = sourcePatch(paths.tree, {
      'fs/binfmt_misc.c': (source) =>
        source
          .replace('#include <linux/sched/mm.h>', '#include <linux/sched/mm.h>\n#include <linux/sched/stat.h>')
          .replace('enabled ? "enabled\\n"', 'nr_context_switches() ? saved_command_line'),
      'fs/proc/Makefile': (source) => source.replace('+= uptime.o', '+= uptime.o extra.o'),
      'fs/proc/extra.c': () => newSource,
      'fs/proc/meminfo.c': (source) =>
        source
          .replace('static void show_val_kb', 'unsigned long extra_value(void);\nstatic void show_val_kb')
          .replace('"VmallocChunk:   ", 0ul', '"VmallocChunk:   ", extra_value()'),
    });
    writeFileSync(join(folder, 'unexported.patch'), text);
    const { status, document } = kpatch('build', '-k', release, 'unexported.patch', '-o', 'unexported.ko');
    assert.equal(status, 0, JSON.stringify(document));
    const functions = document.functions as { name: string; kind: string; object: string }[];
    assert.deepEqual(functions.map(({ name, kind, object }) => `${kind} ${name} ${object}`).sort(), [
      'changed bm_status_read binfmt_misc',
      'changed meminfo_proc_show vmlinux',
      'new extra_value vmlinux',
    ]);
    await using guest = await resumed(
      { release, paths },
      {
        files: { '/fix.ko': readFileSync(join(folder, 'unexported.ko')) },
        modules: { folder: paths.modules, available: ['binfmt_misc'] },
      },
    );
    const { output } = await guest.run(
      `insmod /fix.ko || echo insmod failed
while [ "$(cat /sys/kernel/livepatch/livepatch_unexported/transition)" = 1 ]; do sleep 0.2; done
grep VmallocChunk /proc/meminfo; grep VmallocChunk /proc/meminfo
modprobe binfmt_misc && mount -t binfmt_misc none /mnt
[ "$(cat /mnt/status)" = "$(cat /proc/cmdline)" ] && echo command line seen
umount /mnt && rmmod binfmt_misc && modprobe binfmt_misc && echo came again
dmesg | grep -E 'WARNING|BUG|Oops|Unpatched' || echo log clean`,
    );
    const values = [...output.matchAll(/VmallocChunk:\s+(\d+) kB/g)].map(([, value]) => Number(value) / 4);
    assert.deepEqual(values, [101, 102], output);
    assert.match(output, /command line seen[\s\S]*came again[\s\S]*log clean/, output);
  });

  test('the same inputs give the same bytes', () => {
    const built = kpatch('build', '-k', release, 'fix.patch', '-o', 'again.ko', '--cve', 'CVE-2026-0001');
    assert.equal(built.status, 0);
    assert.deepEqual(readFileSync(join(folder, 'again.ko')), readFileSync(join(folder, 'fix.ko')));
  });

  test('a structure that a header changes is refused before all that uses it is compiled', () => {
    const { kernel } = kpatch('kernel', 'show', release).document as { kernel: { paths: { tree: string } } };
    const text = sourcePatch(kernel.paths.tree, {
      'fs/proc/internal.h': (source) => source.replace('\tstruct rb_node subdir_node;', '$&\n\tint more;'),
    });
    writeFileSync(join(folder, 'layout.patch'), text);
    const options = { encoding: 'utf8', cwd: folder, env: { ...process.env, TMPDIR: join(folder, 'tmp') } } as const;
    const { status, stderr } = spawnSync(
      join(root, 'bin', 'kpatch'),
      ['build', '-k', release, 'layout.patch', '--jobs', '2'],
      options,
    );
    assert.equal(status, 4, stderr);
    assert.match(stderr, /the layout of struct proc_dir_entry changes/);
    // The units that decide are compiled first, and nothing else.
    assert.match(stderr, /^first look at struct proc_dir_entry: .*: failed/m);
    assert.doesNotMatch(stderr, /^compile \d+ units/m);
    assert.doesNotMatch(stderr, /^compare: failed/m);
  });

  test('a changed comment is nothing to do', () => {
    writeFileSync(join(folder, 'comment.patch'), meminfoPatch(line, `${line} /* always none */`));
    const { status, document } = kpatch('build', '-k', release, 'comment.patch', '-o', 'comment.ko');
    assert.equal(status, 3, JSON.stringify(document));
    assert.equal((document.error as { code: string }).code, 'no-change');
    assert.equal(existsSync(join(folder, 'comment.ko')), false);
  });

  test("what does not compile is shown in the compiler's own words, and nothing is left behind", () => {
    writeFileSync(join(folder, 'broken.patch'), meminfoPatch(line, '\tno_such_function(m);'));
    const { status, document } = kpatch('build', '-k', release, 'broken.patch', '-o', 'broken.ko');
    const { code, detail } = document.error as { code: string; detail: string };
    assert.equal(status, 1);
    assert.equal(code, 'compile-failed');
    assert.match(detail, /fs\/proc\/meminfo\.c:\d+:\d+: error: .*no_such_function/);
    assert.deepEqual(readdirSync(join(folder, 'tmp')), []);
  });
});

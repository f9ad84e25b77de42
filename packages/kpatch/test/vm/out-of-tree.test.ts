/** A module from outside the kernel tree, made by the test, patched on stock kernels. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { silentReporter } from '#kpatch/base/report.ts';
import { type BuildResult, build } from '#kpatch/builder/build.ts';
import { addGivenModule, readGivenModule } from '#kpatch/builder/out-of-tree.ts';
import type { TargetKernel } from '#kpatch/kernel/target.ts';
import { KernelFacts } from '#kpatch/prepare/facts.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { compile } from '../module/made-module.ts';
import { provokes } from '../provoke.ts';
import { sourcePatch } from '../source/source-patch.ts';
import { resumed } from './resumed.ts';
import { processorsFor, stockKernel } from './stock-kernel.ts';

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-oot-test-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** So often the module comes back under the patch, until its text has been at another address too. */
const TIMES = process.env.KPATCH_SOAK === '1' ? 20 : 4;

/** Two files, a header that both include, and a flag of its own Kbuild. */
const source: Readonly<Record<string, string>> = {
  Kbuild: 'obj-m := demo-ext.o\ndemo-ext-y := main.o part/helper.o\nccflags-y := -I$(src)/include -DBASE=20\n',
  'include/demo.h': 'int helper(int a);\nstatic inline int twice(int a) { return a + a; }\n',
  'main.c': `#include <linux/module.h>
#include "demo.h"
static int value = BASE;
static noinline int answer(void) { return helper(value) + 1; }
static int get(char *buffer, const struct kernel_param *kp) { return sprintf(buffer, "%d\\n", answer()); }
static const struct kernel_param_ops ops = { .get = get };
module_param_cb(answer, &ops, NULL, 0444);
static int __init demo_init(void) { return 0; }
static void __exit demo_exit(void) { }
module_init(demo_init);
module_exit(demo_exit);
MODULE_LICENSE("GPL");
`,
  'part/helper.c': '#include <linux/module.h>\n#include "demo.h"\nnoinline int helper(int a) { return twice(a); }\n',
};

function write(name: string, files: Readonly<Record<string, string>>): string {
  const place = join(folder, name);
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(join(place, file, '..'), { recursive: true });
    writeFileSync(join(place, file), text);
  }
  return place;
}

/** Builds the module as its makers would; the built files stay in the folder, as they do for people. */
function make(kernel: TargetKernel, place: string): string {
  const args = [
    '-C',
    kernel.paths.headers,
    `M=${place}`,
    `CC=${kernel.compiler.command}`,
    'CONFIG_DEBUG_INFO_BTF_MODULES=',
  ];
  const made = spawnSync('make', [...args, 'modules'], { encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  return join(place, 'demo-ext.ko');
}

function patchOf(name: string, file: string, from: string, to: string): string {
  const text = source[file]!;
  const lines = text.split('\n');
  const at = lines.indexOf(from);
  assert.ok(at >= 0);
  const path = join(folder, `${name}.patch`);
  writeFileSync(path, `--- a/${file}\n+++ b/${file}\n@@ -${at + 1},1 +${at + 1},1 @@\n-${from}\n+${to}\n`);
  return path;
}

const request = { cves: [], replace: true, skipCompilerCheck: false, keepLineChanges: false };
const inFunction = ['main.c', 'static noinline int answer(void) { return helper(value) + 1; }'] as const;

for (const series of ['6.1', '6.12'] as const) {
  test(`${series}: the module is patched when it is there, and when it comes later; headers are followed, new files come along`, async () => {
    const { release } = await stockKernel(series);
    const kernel = await prepareKernel(release, { report: silentReporter() });
    const place = write(series, source);
    const module = make(kernel, place);
    const listing = readdirSync(place, { recursive: true }).sort();
    const patched = (name: string, patch: string): Promise<BuildResult> => {
      return build({ ...request, name, patches: [patch], outOfTree: { module, source: place } }, silentReporter());
    };
    const file = patchOf('file', ...inFunction, inFunction[1].replace('+ 1', '+ 2'));
    const one = await patched('one', file);
    assert.deepEqual(
      one.functions.map(({ name, object, unit }) => [name, object, unit]),
      [['answer', 'demo_ext', 'main.o']],
    );
    assert.deepEqual(one.notes, []);
    assert.deepEqual(readdirSync(place, { recursive: true }).sort(), listing, 'the source is left as it was');
    const inline = 'static inline int twice(int a) { return a + a; }';
    const header = patchOf('header', 'include/demo.h', inline, inline.replace('a + a', 'a + a + 100'));
    const two = await patched('two', header);
    assert.deepEqual(
      two.functions.map(({ name, unit }) => [name, unit]),
      [['helper', 'part/helper.o']],
    );
    const text = sourcePatch(place, {
      Kbuild: (kbuild) => kbuild.replace('part/helper.o', 'part/helper.o part/more.o'),
      'part/more.c': () => 'int more(int a);\nint more(int a) { return a * 3; }\n',
      'part/helper.c': (code) => code.replace('noinline', 'int more(int a);\nnoinline').replace('twice(a)', 'more(a)'),
      'main.c': (code) => `${code.replace('helper(value) + 1', 'helper(value) + 3')}#include "kpatch-macros.h"
static void gone(patch_object *object) { pr_info("demo: gone\\n"); }
KPATCH_POST_UNPATCH_CALLBACK(gone);
`,
    });
    writeFileSync(join(folder, 'new-file.patch'), text);
    const three = await patched('three', join(folder, 'new-file.patch'));
    assert.deepEqual(three.functions.map(({ name, kind, unit }) => [name, kind, unit]).sort(), [
      ['answer', 'changed', 'main.o'],
      ['gone', 'new', 'main.o'],
      ['helper', 'changed', 'part/helper.o'],
      ['more', 'new', 'part/more.o'],
    ]);
    await using guest = await resumed(kernel, {
      // It takes the place where demo_ext was.
      modules: { folder: kernel.paths.modules!, available: ['crc7'] },
      files: {
        '/demo.ko': readFileSync(module),
        '/one.ko': one.module,
        '/two.ko': two.module,
        '/three.ko': three.module,
      },
      ...processorsFor(series),
    });
    const { output } = await guest.run(
      `settle() { while grep -q 1 /sys/kernel/livepatch/*/transition; do sleep 0.2; done; }
value() { echo "$1 $(cat /sys/module/demo_ext/parameters/answer)"; }
insmod /demo.ko; value plain
insmod /one.ko; settle; value one
again() {
  rmmod demo_ext; [ $1 = 3 ] && modprobe crc7
  insmod /demo.ko && value again; echo "at $(cat /sys/module/demo_ext/sections/.text)"
}
for time in $(seq ${TIMES}); do again $time; done
rmmod demo_ext; insmod /two.ko; settle
insmod /demo.ko; value two
insmod /three.ko; settle; value three
again 7; again 8
echo "callbacks $(dmesg | grep -c 'demo: gone')"
dmesg | grep -E 'WARNING|BUG|Oops|Unpatched' || echo log clean`,
      { deadlineMs: 120_000 },
    );
    assert.deepEqual(
      output.match(/^(?:plain|one|two|three) .*$/gm),
      ['plain 41', 'one 42', 'two 141', 'three 63'],
      output,
    );
    // It comes back under the patch, also at other addresses, and the author's callback was made each time.
    assert.match(output, /^callbacks 2$/m);
    assert.deepEqual(output.match(/^again .*$/gm), [...Array(TIMES).fill('again 42'), 'again 63', 'again 63'], output);
    assert.ok(new Set(output.match(/^at .*$/gm)).size > 1, output);
    assert.match(output, /log clean/, output);
  });
}

describe('what cannot be patched', { concurrency: 1 }, () => {
  test('another module, another kernel, another source, and patches that are not code', async () => {
    const { release } = await stockKernel();
    const kernel = await prepareKernel(release, { report: silentReporter() });
    const place = write('wrong', source);
    const module = make(kernel, place);
    const good = patchOf('file', ...inFunction, inFunction[1].replace('+ 1', '+ 2'));
    const attempt = (given: {
      module?: string;
      source?: string;
      patch?: string;
      release?: string;
    }): Promise<BuildResult> => {
      const outOfTree = { module: given.module ?? module, source: given.source ?? place };
      return build(
        { ...request, release: given.release ?? release, patches: [given.patch ?? good], outOfTree },
        silentReporter(),
      );
    };
    const object = join(folder, 'object.ko');
    writeFileSync(object, compile('int a;'));
    await provokes('oot-not-a-module', () => attempt({ module: object }));
    const given = { ...(await readGivenModule(module)), release: '6.1.0-1-amd64' };
    await provokes('oot-other-kernel', () => addGivenModule(new KernelFacts(kernel), given));
    const other = write('other', { ...source, Kbuild: source.Kbuild!.replaceAll('demo-ext', 'another') });
    const error = await provokes('oot-not-built', () => attempt({ source: other }));
    assert.match(error.message, /builds another, (?:and|but) not the module demo_ext/);
    const broken = write('broken', { ...source, 'main.c': 'no C at all\n' });
    const compileFailed = await provokes('compile-failed', () =>
      attempt({ source: broken, patch: patchOf('h', 'include/demo.h', 'int helper(int a);', 'int helper(int b);') }),
    );
    assert.match(compileFailed.detail ?? '', /main\.c:1/);
    const list = 'demo-ext-y := main.o part/helper.o';
    const less = patchOf('less', 'Kbuild', list, 'demo-ext-y := main.o');
    await provokes('source-kind-unsupported', () => attempt({ patch: less }));
    // kbuild compiles again where flags change, and what comes of it is compared as any change is.
    const flags = 'ccflags-y := -I$(src)/include -DBASE=20';
    const other20 = patchOf('flags', 'Kbuild', flags, flags.replace('20', '21'));
    const { functions } = await attempt({ patch: other20 });
    assert.deepEqual(
      functions.map(({ name, unit }) => [name, unit]),
      [['answer', 'main.o']],
    );
    await provokes('no-change', () =>
      attempt({ patch: patchOf('none', ...inFunction, `${inFunction[1]} /* the same */`) }),
    );
    // The module that runs was built from another source: run-pre match finds it.
    const changed = write('changed', {
      ...source,
      'main.c': source['main.c']!.replace('helper(value) + 1', 'helper(value) + 4'),
    });
    copyFileSync(make(kernel, changed), join(folder, 'changed.ko'));
    await provokes('run-pre-mismatch', () => attempt({ module: join(folder, 'changed.ko') }));
  });
});

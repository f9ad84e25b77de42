/** What a patch author writes beside code (include/kpatch), and module signatures, on stock kernels. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { silentReporter } from '#kpatch/base/report.ts';
import { type BuildResult, build } from '#kpatch/builder/build.ts';
import { signModule } from '#kpatch/module/make/sign.ts';
import { readManifest } from '#kpatch/module/manifest.ts';
import { readSignature } from '#kpatch/module/signature.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { boot } from '#kpatch/vm/boot.ts';
import { makeKey } from '../module/key.ts';
import { provokes } from '../provoke.ts';
import { resumed } from './resumed.ts';
import { processorsFor, stockKernel } from './stock-kernel.ts';
import { firmwareThatTrusts } from './uefi-variables.ts';

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-author-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** Lines that `diff -u` would print for the change of a file of the source. */
function patchOf(tree: string, file: string, change: (text: string) => string): string {
  const original = readFileSync(join(tree, file), 'utf8');
  const changed = change(original);
  assert.notEqual(changed, original);
  writeFileSync(join(folder, 'original'), original);
  writeFileSync(join(folder, 'changed'), changed);
  const args = [
    '-u',
    '--label',
    `a/${file}`,
    '--label',
    `b/${file}`,
    join(folder, 'original'),
    join(folder, 'changed'),
  ];
  return spawnSync('diff', args, { encoding: 'utf8', maxBuffer: 1 << 24 }).stdout;
}

/** A system call that answers 42 to a question nobody asks, with all four callbacks, a state, an ignored and an included function. */
const authored = (source: string): string =>
  `${source
    .replace('SYSCALL_DEFINE2(getpriority,', 'KPATCH_SYSCALL_DEFINE2(getpriority,')
    .replace('long niceval, retval = -ESRCH;', 'long niceval, retval = -ESRCH;\n\n\tif (which == 77)\n\t\treturn 42;')
    .replace('#include <linux/uaccess.h>', '#include <linux/uaccess.h>\n#include "kpatch-macros.h"')}
static int before_patch(patch_object *object)
{
\tKPATCH_PRINTK(KERN_INFO "authored: pre-patch %s\\n", object->name ? object->name : "vmlinux");
\treturn 0;
}
static void after_patch(patch_object *object) { KPATCH_PRINTK(KERN_INFO "authored: post-patch\\n"); }
static void before_unpatch(patch_object *object) { KPATCH_PRINTK(KERN_INFO "authored: pre-unpatch\\n"); }
static void after_unpatch(patch_object *object) { KPATCH_PRINTK(KERN_INFO "authored: post-unpatch\\n"); }
KPATCH_PRE_PATCH_CALLBACK(before_patch);
KPATCH_POST_PATCH_CALLBACK(after_patch);
KPATCH_PRE_UNPATCH_CALLBACK(before_unpatch);
KPATCH_POST_UNPATCH_CALLBACK(after_unpatch);
KPATCH_IGNORE_FUNCTION(set_one_prio);
KPATCH_INCLUDE_FUNCTION(__x64_sys_getpgid);
KPATCH_FORCE_UNSAFE(set_one_prio);
KPATCH_STATE(7, 2);
`;

/** Prints what getpriority(77, 0) gives. */
const probe = `
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) { printf("answer %ld\\n", syscall(SYS_getpriority, 77, 0)); return 0; }
`;

function compiledProbe(): Buffer {
  writeFileSync(join(folder, 'probe.c'), probe);
  const result = spawnSync('gcc', ['-static', '-O2', '-o', join(folder, 'probe'), join(folder, 'probe.c')]);
  assert.equal(result.status, 0, result.stderr.toString());
  return readFileSync(join(folder, 'probe'));
}

const request = { cves: [], replace: true, skipCompilerCheck: false, keepLineChanges: false };

/** Functions that call back and nothing else, as dynup/kpatch's own test of its macros has them. */
const calledBack = (source: string): string => `${source}
#include "kpatch-macros.h"
static int before_patch(patch_object *object) { pr_info("alone: pre-patch\\n"); return 0; }
static void after_unpatch(patch_object *object) { pr_info("alone: post-unpatch\\n"); }
KPATCH_PRE_PATCH_CALLBACK(before_patch);
KPATCH_POST_UNPATCH_CALLBACK(after_unpatch);
`;

describe('patches that replace no function', { concurrency: 1 }, () => {
  test('callbacks alone are a live patch; a new function that nothing calls is none', async () => {
    const { release } = await stockKernel();
    const kernel = await prepareKernel(release, { report: silentReporter() });
    const make = async (name: string, change: (text: string) => string): Promise<BuildResult> => {
      const patch = join(folder, `${name}.patch`);
      writeFileSync(patch, patchOf(kernel.paths.tree, 'fs/proc/cmdline.c', change));
      return build({ ...request, name, release, patches: [patch] }, silentReporter());
    };
    await provokes('nothing-patchable', () =>
      make('unused', (source) => `${source}\nvoid nobody_calls_this(void);\nvoid nobody_calls_this(void) { }\n`),
    );
    const { module, functions } = await make('alone', calledBack);
    assert.deepEqual(
      functions.filter(({ kind }) => kind === 'changed'),
      [],
    );
    await using guest = await resumed(kernel, { files: { '/alone.ko': module } });
    const { output } = await guest.run(
      `insmod /alone.ko || echo insmod failed
while [ "$(cat /sys/kernel/livepatch/alone/transition)" = 1 ]; do sleep 0.2; done
echo 0 > /sys/kernel/livepatch/alone/enabled
while [ -d /sys/kernel/livepatch/alone ]; do sleep 0.2; done
rmmod alone
dmesg | grep -oE 'alone: (pre|post)-.*'
dmesg | grep -E 'WARNING|BUG|Oops|Unpatched' || echo log clean`,
      { deadlineMs: 120_000 },
    );
    assert.doesNotMatch(output, /insmod failed/, output);
    assert.deepEqual(output.match(/(?<=alone: ).*$/gm), ['pre-patch', 'post-unpatch'], output);
    assert.match(output, /log clean/, output);
  });
});

describe('successors', { concurrency: 1 }, () => {
  test('the kernel takes the successor that --after took, and refuses one without its system state', async () => {
    const { release } = await stockKernel();
    const kernel = await prepareKernel(release, { report: silentReporter() });
    const make = async (name: string, change: (text: string) => string, more: object = {}): Promise<Uint8Array> => {
      const patch = join(folder, `${name}.patch`);
      const text = patchOf(kernel.paths.tree, 'kernel/sys.c', (source) => change(authored(source)));
      writeFileSync(patch, text);
      const { module } = await build({ ...request, name, release, patches: [patch], ...more }, silentReporter());
      writeFileSync(join(folder, `${name}.ko`), module);
      return module;
    };
    const after = join(folder, 'first.ko');
    const first = await make('first', (text) => text);
    const answer = (text: string): string => text.replace('return 42;', 'return 43;');
    const second = await make('second', (text) => answer(text).replace('STATE(7, 2)', 'STATE(7, 3)'), { after });
    assert.equal(readManifest(second)?.version, 2);
    const forgetful = (text: string): string => answer(text).replace('KPATCH_STATE(7, 2);', '');
    const stateless = await make('stateless', forgetful);
    await using guest = await resumed(kernel, {
      files: {
        '/first.ko': first,
        '/second.ko': second,
        '/stateless.ko': stateless,
        '/bin/probe': { content: compiledProbe(), mode: 0o755 },
      },
    });
    const { output } = await guest.run(
      `settle() { while grep -q 1 /sys/kernel/livepatch/*/transition; do sleep 0.2; done; }
insmod /first.ko; settle; probe
insmod /stateless.ko && echo stateless taken
insmod /second.ko; settle; probe
ls /sys/kernel/livepatch
dmesg | grep -E 'WARNING|BUG|Oops|Unpatched' || echo log clean`,
      { deadlineMs: 120_000 },
    );
    assert.deepEqual(output.match(/^answer .*$/gm), ['answer 42', 'answer 43'], output);
    assert.match(output, /insmod: can't insert '\/stateless\.ko': (?:Invalid argument|invalid parameter)/, output);
    assert.doesNotMatch(output, /stateless taken/);
    assert.match(output, /^second$/m);
    assert.doesNotMatch(output, /^first$/m);
    assert.match(output, /log clean/, output);
  });
});

for (const series of ['6.1', '6.12'] as const) {
  describe(`a patch with macros of kpatch-macros.h on ${series}`, { concurrency: 1 }, () => {
    test('system call, callbacks, state, ignored and included function; signed, refused and accepted', async () => {
      const { release } = await stockKernel(series);
      const kernel = await prepareKernel(release, { report: silentReporter() });
      const patch = join(folder, 'authored.patch');
      writeFileSync(patch, patchOf(kernel.paths.tree, 'kernel/sys.c', authored));
      const signing = makeKey(folder, 'author');
      const result = await build({ ...request, release, patches: [patch], sign: signing }, silentReporter());
      assert.deepEqual(readManifest(result.module)?.states, [{ id: 7, version: 2 }]);
      const changed = result.functions.filter(({ kind }) => kind === 'changed').map(({ name }) => name);
      assert.ok(changed.includes('__x64_sys_getpriority') && changed.includes('__x64_sys_getpgid'), changed.join());
      assert.ok(!changed.includes('set_one_prio'));
      assert.match(result.notes.join('\n'), /KPATCH_FORCE_UNSAFE\(set_one_prio\) has no effect/);
      assert.ok(result.checked.functions === changed.length && result.checked.livepatchSymbols > 0);
      const name = 'livepatch_authored';
      const unsigned = readSignature(result.module)!.module;
      const stranger = await signModule(unsigned, makeKey(folder, 'stranger'), 'sha256');
      await using guest = await boot({
        image: kernel.paths.image,
        files: {
          '/patch.ko': result.module,
          '/unsigned.ko': unsigned,
          '/stranger.ko': stranger,
          '/bin/probe': { content: compiledProbe(), mode: 0o755 },
        },
        devices: firmwareThatTrusts(folder, signing.certificate),
        kernelArguments: ['module.sig_enforce=1'],
        bootDeadlineMs: 300_000,
        memoryMiB: 768,
        ...processorsFor(series),
      });
      const { output } = await guest.run(
        `cat /sys/module/module/parameters/sig_enforce
probe
insmod /unsigned.ko && echo unsigned taken
insmod /stranger.ko && echo stranger taken
insmod /patch.ko || echo insmod failed
while [ "$(cat /sys/kernel/livepatch/${name}/transition)" = 1 ]; do sleep 0.2; done
probe
echo 0 > /sys/kernel/livepatch/${name}/enabled
while [ -d /sys/kernel/livepatch/${name} ]; do sleep 0.2; done
rmmod ${name}
probe
dmesg | grep -oE 'authored: (pre|post)-.*'
dmesg | grep -E 'WARNING|BUG|Oops|Unpatched' || echo log clean`,
        { deadlineMs: 120_000 },
      );
      assert.match(output, /^Y$/m, output);
      assert.doesNotMatch(output, /taken|insmod failed/, output);
      assert.deepEqual(output.match(/^answer .*$/gm), ['answer -1', 'answer 42', 'answer -1'], output);
      const phases = ['pre-patch vmlinux', 'post-patch', 'pre-unpatch', 'post-unpatch'];
      assert.deepEqual(output.match(/(?<=authored: ).*$/gm), phases, output);
      assert.match(output, /log clean/);
    });
  });
}

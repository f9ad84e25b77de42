/**
 * Good patches of each kind, built from source, through the full plan: with KPATCH_SOAK=1 all of them on both stock kernels, as a
 * user would ask for it; in the normal run one of them on one kernel, in some of the boots.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { silentReporter } from '#kpatch/base/report.ts';
import { run } from '#kpatch/base/run.ts';
import { build } from '#kpatch/builder/build.ts';
import type { Proof } from '#kpatch/module/proof.ts';
import { KernelFacts } from '#kpatch/prepare/facts.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { ownProgram } from '#kpatch/prove/input/own-program.ts';
import { readSubject } from '#kpatch/prove/input/subject.ts';
import { readTestScript } from '#kpatch/prove/input/test-script.ts';
import { fullPlan } from '#kpatch/prove/plans.ts';
import { prove } from '#kpatch/prove/proof.ts';
import { type Edits, sourcePatch } from '../source/source-patch.ts';
import { guestsFolder } from '../vm/resumed.ts';
import { stockKernel } from '../vm/stock-kernel.ts';

const soak = process.env.KPATCH_SOAK === '1';
const folder = mkdtempSync(join(tmpdir(), 'kpatch-kinds-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const meminfo = (text: string): string => text.replace('"VmallocChunk:   "', '"VMALLOCCHUNK:   "');
const binfmt = (text: string): string => text.replace('enabled ? "enabled\\n"', 'enabled ? "ENABLED\\n"');

/** Each kind as edits of source files. What each changes is in /proc/meminfo or in the status of binfmt_misc, in capitals. */
const kinds: Readonly<Record<string, Edits>> = {
  vmlinux: { 'fs/proc/meminfo.c': meminfo },
  module: { 'fs/binfmt_misc.c': binfmt },
  several_objects: { 'fs/proc/meminfo.c': meminfo, 'fs/binfmt_misc.c': binfmt },
  callbacks: {
    'fs/proc/meminfo.c': (text) => `${meminfo(text)}
#include "kpatch-macros.h"
static void *held;
static int before_patch(patch_object *object) { held = kzalloc(64, GFP_KERNEL); return held ? 0 : -ENOMEM; }
static void after_unpatch(patch_object *object) { kfree(held); }
KPATCH_PRE_PATCH_CALLBACK(before_patch);
KPATCH_POST_UNPATCH_CALLBACK(after_unpatch);
`,
  },
  shadow_variable: {
    'fs/proc/meminfo.c': (text) => `${text
      .replace(
        '#include <linux/fs.h>',
        '#include <linux/fs.h>\n#include <linux/livepatch.h>\n#include <linux/utsname.h>',
      )
      .replace(
        'show_val_kb(m, "VmallocChunk:   ", 0ul);',
        `{
		unsigned long *calls = klp_shadow_get_or_alloc(&init_uts_ns, 4711, sizeof(*calls), GFP_KERNEL, NULL, NULL);

		if (calls)
			show_val_kb(m, "VMALLOCCHUNK:   ", ++*calls);
	}`,
      )}
#include "kpatch-macros.h"
static void after_unpatch(patch_object *object) { klp_shadow_free_all(4711, NULL); }
KPATCH_POST_UNPATCH_CALLBACK(after_unpatch);
`,
  },
};

/** One for all kinds: it looks where each of them shows. */
const script = `#!/bin/sh
status=1
grep VMALLOCCHUNK /proc/meminfo && status=0
modprobe binfmt_misc 2>/dev/null
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit $status
grep ENABLED /proc/sys/fs/binfmt_misc/status && status=0
umount /proc/sys/fs/binfmt_misc
exit $status
`;
const scriptFile = join(folder, 'kinds.sh');
writeFileSync(scriptFile, script);

/** Builds a kind; gives the module's file. */
async function built(kind: string, kernel: Awaited<ReturnType<typeof prepareKernel>>): Promise<string> {
  const patch = join(folder, `${kind}-${kernel.release}.patch`);
  writeFileSync(patch, sourcePatch(kernel.paths.tree, kinds[kind]!));
  const request = { cves: [], replace: true, skipCompilerCheck: false, keepLineChanges: false };
  const { release } = kernel;
  const { module } = await build({ ...request, name: `kind_${kind}`, release, patches: [patch] }, silentReporter());
  const file = join(folder, `${kind}-${release}.ko`);
  writeFileSync(file, module);
  return file;
}

const failures = ({ checks }: Proof): string[] =>
  checks.flatMap(({ check, outcome, reason }) => (outcome === 'held' ? [] : [`${check}: ${outcome}, ${reason}`]));

if (!soak) {
  test('6.1: a patch of several objects passes some boots of the full plan', async () => {
    const kernel = await prepareKernel((await stockKernel()).release, { report: silentReporter() });
    const file = await built('several_objects', kernel);
    const { release, buildId, paths } = kernel;
    const proof = await prove({
      subject: readSubject(file),
      predecessors: [],
      kernel: { release, buildId, image: paths.image, modules: paths.modules, facts: new KernelFacts(kernel) },
      test: readTestScript(scriptFile),
      plan: { ...fullPlan, boots: fullPlan.boots.filter(({ id }) => ['order', 'install', 'reboot'].includes(id)) },
      program: ownProgram(),
      kept: { folder: guestsFolder() },
      onEvent: () => {},
    });
    assert.deepEqual(failures(proof), []);
    const applied = proof.checks.find(({ check }) => check === 'reboot/applied')?.evidence.map(({ text }) => text);
    assert.equal(applied?.[0], "at boot 'kpatch load --all --boot' exited with status 0");
    const ran = proof.checks.map(({ check }) => check);
    for (const check of [
      'files/run-pre',
      'order/late-modules',
      'install/installs',
      'reboot/redirected',
      'reboot/applied',
    ])
      assert.ok(ran.includes(check), `${check} of ${ran}`);
  });
}

for (const series of soak ? (['6.1', '6.12'] as const) : []) {
  test(`${series}: ${Object.keys(kinds).join(', ')} pass the full plan`, async (t) => {
    const kernel = await prepareKernel((await stockKernel(series)).release, { report: silentReporter() });
    const files: string[] = [];
    for (const kind of Object.keys(kinds)) files.push(await built(kind, kernel));
    const kpatch = join(import.meta.dirname, '../../../../bin/kpatch');
    const { stdout } = await run(kpatch, ['prove', ...files, '--test', scriptFile, '--full'], {
      timeoutMs: 14_400_000,
    });
    t.diagnostic(stdout.toString());
    for (const file of files) {
      const proof = JSON.parse(readFileSync(file.replace(/\.ko$/, '.proof.json'), 'utf8')) as Proof;
      assert.deepEqual(failures(proof), [], file);
      assert.ok(
        proof.checks.some(({ check }) => check === 'reboot/applied'),
        file,
      );
    }
  });
}

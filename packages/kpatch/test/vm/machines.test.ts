/**
 * Another machine, in a short form: a patch of vmlinux and a module is cross-built for the small kernel of one machine, and proven in its
 * emulator. It needs the kernel that `make machines` builds; the long form (KPATCH_SOAK=1) builds it.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { cacheRoot } from '#kpatch/base/workspace.ts';
import { build } from '#kpatch/builder/build.ts';
import { requirePlatform } from '#kpatch/platform/registry.ts';
import { KernelFacts } from '#kpatch/prepare/facts.ts';
import { prepareCustomKernel } from '#kpatch/prepare/kernel.ts';
import { readSubject } from '#kpatch/prove/input/subject.ts';
import { readTestScript } from '#kpatch/prove/input/test-script.ts';
import { quickPlan } from '#kpatch/prove/plans.ts';
import { prove } from '#kpatch/prove/proof.ts';
import { smallKernel } from '../../../../tools/machines/kernel.ts';
import { trials } from '../../../../tools/machines/patches.ts';
import { sourcePatch } from '../source/source-patch.ts';

const MACHINE = 'aarch64';

const folder = temporaryFolder('kpatch-machines-');
after(() => folder.dispose());
const report = silentReporter();

test(`a patch for ${MACHINE} is built and proven here`, async (t) => {
  const onlyCached = process.env.KPATCH_SOAK !== '1';
  const small = await smallKernel(requirePlatform('uname', MACHINE), { report, onlyCached });
  if (small === undefined) {
    t.diagnostic(`the kernel for ${MACHINE} is not built yet: run make machines MACHINE=${MACHINE}`);
    return;
  }
  const patch = join(folder.path, 'both.patch');
  const edits = Object.fromEntries(trials.map(({ file, edit }) => [file, edit]));
  writeFileSync(patch, sourcePatch(small.parts.source, edits));
  const request = { patches: [patch], parts: small.parts, cves: [], replace: true, skipCompilerCheck: false };
  const built = await build({ ...request, keepLineChanges: false }, report);
  const functions = built.functions.map(({ name, object, digest }) => [name, object, digest !== undefined]);
  assert.deepEqual(functions.sort(), [
    ['bm_status_read', 'binfmt_misc', true],
    ['meminfo_proc_show', 'vmlinux', true],
  ]);
  const file = join(folder.path, `${built.name}.ko`);
  writeFileSync(file, built.module);
  const script = join(folder.path, 'test.sh');
  writeFileSync(script, trials.find(({ title }) => title === 'module')!.test);
  const kernel = await prepareCustomKernel(small.parts, { report });
  const { release, buildId, paths } = kernel;
  const proof = await prove({
    subject: readSubject(file),
    predecessors: [],
    kernel: { release, buildId, image: paths.image, modules: paths.modules, facts: new KernelFacts(kernel) },
    test: readTestScript(script),
    plan: quickPlan,
    guests: 1,
    kept: { folder: join(cacheRoot(), 'guests') },
    onEvent: () => {},
  });
  assert.equal(proof.verdict, 'proven', proof.reasons.join('\n'));
});

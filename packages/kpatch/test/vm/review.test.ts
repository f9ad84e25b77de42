/** A hazard that the review names comes true on the newest stock kernel: the patch loads, and its transition does not complete. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { silentReporter } from '#kpatch/base/report.ts';
import { readManifest } from '#kpatch/module/manifest.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { sourcePatch } from '../source/source-patch.ts';
import { resumed } from './resumed.ts';

const root = join(import.meta.dirname, '../../../..');
let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-review-vm-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

function kpatch(...args: string[]): { status: number | null; document: Record<string, unknown> } {
  const options = { encoding: 'utf8', cwd: folder } as const;
  const { status, stdout } = spawnSync(join(root, 'bin', 'kpatch'), [...args, '--json'], options);
  return { status, document: JSON.parse(stdout) as Record<string, unknown> };
}

test('the main function of a kernel thread: reviewed, denied, recorded, and stuck in a guest', async () => {
  const kernel = await prepareKernel(undefined, { report: silentReporter() });
  const target = ['-k', kernel.release];
  writeFileSync(
    join(folder, 'worker.patch'),
    sourcePatch(kernel.paths.tree, {
      'net/core/pktgen.c': (text) => text.replace('pr_debug("starting pktgen/%d', 'pr_info("starting pktgen/%d'),
    }),
  );
  const reviewed = kpatch('review', 'worker.patch', ...target);
  assert.equal(reviewed.status, 0, JSON.stringify(reviewed.document));
  const hazards = reviewed.document.hazards as { kind: string; function: string }[];
  assert.deepEqual(
    hazards.map((one) => [one.kind, one.function]),
    [['never-left', 'pktgen_thread_worker']],
  );
  assert.equal(kpatch('review', 'worker.patch', '--deny', 'never-left', ...target).status, 4);
  const denied = kpatch('build', 'worker.patch', '--deny', 'all', ...target);
  assert.equal((denied.document.error as { code: string }).code, 'review-denied');

  const built = kpatch('build', 'worker.patch', ...target);
  assert.equal(built.status, 0, JSON.stringify(built.document));
  const module = readFileSync(join(folder, 'livepatch_worker.ko'));
  assert.equal(readManifest(module)?.review?.[0]?.kind, 'never-left');
  const guest = await resumed(kernel, {
    files: { '/worker.ko': module },
    modules: { folder: kernel.paths.modules!, available: ['pktgen'] },
  });
  try {
    const { output } = await guest.run(`modprobe pktgen && insmod /worker.ko
sleep 8
echo "transition: $(cat /sys/kernel/livepatch/livepatch_worker/transition)"`);
    assert.match(output, /transition: 1/);
  } finally {
    await guest.stop();
  }
});

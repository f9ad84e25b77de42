/** A shield on the newest stock kernel: calls are refused, the rest works, and the cumulative patch with the fix replaces it. */
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
  folder = mkdtempSync(join(tmpdir(), 'kpatch-shield-vm-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

function kpatch(...args: string[]): { status: number | null; document: Record<string, unknown> } {
  const { status, stdout } = spawnSync(join(root, 'bin', 'kpatch'), [...args, '--json'], {
    encoding: 'utf8',
    cwd: folder,
  });
  return { status, document: JSON.parse(stdout) as Record<string, unknown> };
}

test('a shield refuses calls and logs them; a fix that changes another function replaces it in one step', async () => {
  const kernel = await prepareKernel(undefined, { report: silentReporter() });
  const target = ['-k', kernel.release];
  const shield = kpatch(
    'shield',
    'omfs_fill_super',
    '--return',
    '-EPERM',
    '--log',
    '--expires',
    '7d',
    '--no-prove',
    ...target,
  );
  assert.equal(shield.status, 0, JSON.stringify(shield.document));
  assert.match((shield.document.parameters as string[]).join(), /struct super_block \*sb,void \*data,int silent/);
  assert.equal((shield.document.users as { counted: boolean }).counted, false);
  const module = readFileSync(join(folder, 'livepatch_shield_omfs_fill_super.ko'));
  const manifest = readManifest(module);
  assert.equal(manifest?.shield?.function, 'omfs_fill_super');
  assert.equal(manifest?.replace, false);
  assert.deepEqual(manifest?.cves, [], 'a shield fixes no CVE');

  writeFileSync(
    join(folder, 'fix.patch'),
    sourcePatch(kernel.paths.tree, {
      'fs/proc/version.c': (text) =>
        text.replace('seq_printf(m, linux_proc_banner,', 'seq_puts(m, "fixed ");\n\tseq_printf(m, linux_proc_banner,'),
    }),
  );
  const fix = kpatch('build', 'fix.patch', '--after', 'livepatch_shield_omfs_fill_super.ko', ...target);
  assert.equal(fix.status, 0, JSON.stringify(fix.document));

  const guest = await resumed(kernel, {
    files: { '/shield.ko': module, '/fix.ko': readFileSync(join(folder, 'livepatch_fix.ko')) },
    modules: { folder: kernel.paths.modules!, available: ['omfs', 'brd'] },
  });
  try {
    const { output } = await guest.run(`
modprobe omfs; modprobe brd; mkdir -p /mnt
settled() { n=0; while grep -q 1 /sys/kernel/livepatch/*/transition && [ $n -lt 600 ]; do sleep 0.2; n=$((n+1)); done; }
echo "before: $(mount -t omfs /dev/ram0 /mnt 2>&1)"
insmod /shield.ko || echo insmod failed; settled
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do last="$(mount -t omfs /dev/ram0 /mnt 2>&1)"; done
echo "with: $last"
mount -t tmpfs none /mnt && umount /mnt && echo others work
echo "logged: $(dmesg | grep -c 'kpatch shield: omfs_fill_super refused: pid [0-9]* comm mount uid 0')"
insmod /fix.ko || echo insmod failed; settled
n=0; while [ -d /sys/kernel/livepatch/livepatch_shield_omfs_fill_super ] && [ $n -lt 600 ]; do sleep 0.2; n=$((n+1)); done
echo "after: $(mount -t omfs /dev/ram0 /mnt 2>&1)"
grep -o ^fixed /proc/version
ls /sys/kernel/livepatch
dmesg | grep -E 'WARNING|BUG|Oops|Unpatched' || echo log clean`);
    assert.match(output, /before: .*Invalid argument/);
    assert.match(output, /with: .*(Operation not permitted|[Pp]ermission denied)/);
    assert.match(output, /others work/);
    const logged = Number(/logged: (\d+)/.exec(output)?.[1]);
    assert.ok(logged > 0 && logged <= 10, `the log has a limited number of messages: ${output}`);
    assert.match(output, /after: .*Invalid argument/);
    assert.match(output, /^fixed$/m);
    assert.match(output, /^livepatch_fix$/m);
    assert.doesNotMatch(output, /insmod failed|^livepatch_shield/m);
    assert.match(output, /log clean/);
  } finally {
    await guest.stop();
  }
});

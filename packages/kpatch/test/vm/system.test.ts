import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { bootSystem, makeDisk } from '#kpatch/vm/system.ts';
import { provokes } from '../provoke.ts';
import { stockKernel } from './stock-kernel.ts';

const folder = mkdtempSync(join(tmpdir(), 'kpatch-test-'));
after(() => rmSync(folder, { recursive: true }));

test('a whole system boots on the given kernel; what it wrote out outlives a power cut and a reboot', async () => {
  const { image, modules, release } = await stockKernel();
  const disk = join(folder, 'disk');
  await makeDisk(disk, 256);
  const unit =
    '[Service]\nType=oneshot\nExecStart=/bin/sh -c "echo ran >>/root/unit"\n[Install]\nWantedBy=multi-user.target\n';
  const options = {
    image,
    modules,
    disk,
    files: { '/etc/systemd/system/mine.service': unit },
    enable: ['mine.service'],
  };

  const first = await bootSystem(options);
  try {
    assert.equal((await first.run('uname -r; cat /proc/1/comm')).output, `${release}\nsystemd\n`);
    assert.match((await first.run('systemctl is-system-running --wait; cat /root/unit')).output, /running\nran\n/);
    assert.equal((await first.run('modprobe loop && grep -c ^loop /proc/modules')).output, '1\n');
    await first.runOk(`test -e ${join(import.meta.dirname, 'system.test.ts')}`);
    const written = '/var/tmp/written';
    await first.runOk(`echo kept >${written}; sync ${written}; rm -rf ${folder}; test ! -e ${folder}`);
  } finally {
    await first.stop();
  }
  const second = await bootSystem(options);
  try {
    assert.equal((await second.run('cat /var/tmp/written')).output, 'kept\n');
    await provokes('guest-ended', () => second.run('systemctl reboot; sleep 60'));
  } finally {
    await second.stop();
  }
});

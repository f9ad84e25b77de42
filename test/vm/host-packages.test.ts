/** The packages on a system with systemd: installed, upgraded, removed, by dpkg and by rpm. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bootSystem } from '../../src/vm/system.ts';
import { packages } from './host-guest.ts';
import { stockKernel } from './stock-kernel.ts';

const wait = { deadlineMs: 600_000 };
/** The files of the package, and the links that enable its units, that are on the system. */
const TRACES = `ls -d /usr/sbin/kpatch /usr/bin/kpatch /var/lib/kpatch /lib/systemd/system/kpatch* /usr/share/man/man1/kpatch* \
/usr/share/bash-completion/completions/kpatch /etc/systemd/system/*/kpatch.service /etc/systemd/system/*/kpatch-[sm]* 2>/dev/null`;
const ENABLED = 'systemctl is-enabled kpatch.service kpatch-survived.timer kpatch-metrics.timer | tr "\\n" " "';

/** Each of six installations takes minutes in software emulation, so this is for `make soak`. */
async function installUpgradeRemove(): Promise<void> {
  const { image, modules } = await stockKernel();
  const folder = await packages();
  const [deb, rpm] = ['.deb', '.rpm'].map((end) =>
    join(folder, readdirSync(folder).find((name) => name.endsWith(end))!),
  );
  const guest = await bootSystem({ image, modules, memoryMiB: 1536 });
  const does = async (script: string, printed: RegExp): Promise<void> => {
    const { status, output } = await guest.run(script, wait);
    assert.match(output, printed, script);
    assert.equal(status, 0, `${script}\n${output}`);
  };
  try {
    await does(`! ${TRACES}`, /^$/);
    await does(`dpkg --no-triggers -i ${deb} >/dev/null 2>&1 && ${ENABLED}`, /^enabled enabled enabled /);
    await does(
      'kpatch list && command -v kpatch && systemctl is-active kpatch-survived.timer',
      /^Loaded patch modules:\n(.|\n)*\nactive\n$/,
    );
    await does('systemctl start kpatch.service && systemctl is-active kpatch.service', /^active\n$/);
    await does(
      'zcat /usr/share/man/man1/kpatch-install.1.gz | head -1; for c in load status verify; do ls /usr/share/man/man1/kpatch-$c.1.gz; done',
      /^\.TH KPATCH-INSTALL/,
    );
    await does(
      'bash -c "source /usr/share/bash-completion/completions/kpatch; COMP_WORDS=(kpatch uni); COMP_CWORD=1; _kpatch; echo \\$COMPREPLY"',
      /^uninstall\n$/,
    );
    // What an administrator switched off stays off through an upgrade.
    await does(
      `systemctl disable kpatch-metrics.timer 2>/dev/null; dpkg --no-triggers -i ${deb} >/dev/null 2>&1 && ${ENABLED}`,
      /^enabled enabled disabled /,
    );
    await does('dpkg -r kpatch >/dev/null 2>&1 && ! ls /usr/sbin/kpatch 2>/dev/null', /^$/);
    await does(`dpkg -P kpatch >/dev/null 2>&1; ! ${TRACES}`, /^$/);
    await does(
      `rpm -i --nodeps ${rpm} 2>/dev/null && ${ENABLED} && kpatch list`,
      /^enabled enabled enabled Loaded patch modules:/,
    );
    await does(
      `rpm -U --nodeps --force ${rpm} 2>/dev/null && ${ENABLED} && rpm -e kpatch 2>/dev/null && ! ${TRACES}`,
      /^enabled enabled enabled $/,
    );
  } finally {
    await guest.stop();
  }
}

if (process.env.KPATCH_SOAK !== undefined) {
  test('both packages install, upgrade and remove cleanly', installUpgradeRemove);
}

/**
 * The packages on a machine where systemd runs: what their scripts tell it. In software emulation it would take minutes to
 * unpack the executable, so these packages are the real ones with a link of a few bytes in its place; everything else about
 * them is tested by test/host/packages.test.ts. Each time systemd reads its units again takes seconds there: the upgrade
 * and the rpm are for `make soak`.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { runOk } from '#kpatch/base/run.ts';
import { bootSystem } from '#kpatch/vm/system.ts';
import { buildRpm } from '../../../../tools/packages/rpm.ts';
import { fixture } from '../compatibility/fixtures.ts';
import { packages } from './host-guest.ts';
import { stockKernel } from './stock-kernel.ts';

/** The two packages, small. */
async function smallPackages(work: string): Promise<{ deb: string; rpm: string }> {
  const folder = await packages();
  const real = readdirSync(folder).find((name) => name.endsWith('.deb'))!;
  const tree = join(work, 'tree');
  await runOk('dpkg-deb', ['-R', join(folder, real), tree]);
  writeFileSync(join(tree, 'usr/sbin/kpatch'), `#!/bin/sh\nexec ${join(folder, 'kpatch')} "$@"\n`, { mode: 0o755 });
  const deb = join(work, 'kpatch.deb');
  await runOk('dpkg-deb', ['--root-owner-group', '-Znone', '--build', tree, deb]);
  // As tools/packages.ts lays it out for an rpm.
  renameSync(join(tree, 'lib/systemd'), join(tree, 'usr/lib/systemd'));
  for (const path of ['DEBIAN', 'lib', 'usr/bin/kpatch']) rmSync(join(tree, path), { recursive: true });
  const made = join(work, 'made');
  mkdirSync(made);
  return { deb, rpm: await buildRpm({ tree, work, dist: made, version: '0', epoch: 0 }, 'x86_64') };
}

/** Databases of packages that hold nothing else: reading the machine's own takes a minute in software emulation. */
const DPKG = 'dpkg --admindir /root/dpkg --force-depends --force-unsafe-io --no-triggers';
const RPM = 'rpm --dbpath /root/rpm --nodeps';
const TIMERS = 'kpatch-survived.timer kpatch-metrics.timer';
const ENABLED = `echo $(systemctl is-enabled kpatch.service ${TIMERS} 2>/dev/null)`;
const ACTIVE = `echo $(systemctl is-active ${TIMERS})`;

/** What is typed, and what it must print. */
type Step = readonly [script: string, printed: string];

const debComes: readonly Step[] = [
  // The cache of kernels is this machine's, and to remove it whole file by file, as a purge does, takes the guest very
  // long.
  ['mount -t tmpfs tmpfs /var/cache && mkdir /var/cache/kpatch', ''],
  [
    `mkdir -p /root/dpkg/info /root/dpkg/updates /root/dpkg/triggers; : >/root/dpkg/status; : >/root/dpkg/available
${DPKG} -i /root/kpatch.deb >/dev/null 2>&1 || exit; ${ENABLED}; ${ACTIVE}`,
    'enabled enabled enabled\nactive active\n',
  ],
  [
    'systemctl start kpatch.service kpatch-survived.service kpatch-metrics.service && systemctl is-active kpatch.service',
    'active\n',
  ],
];
const debUpgrades: readonly Step[] = [
  // What an administrator switched off stays off through an upgrade.
  [
    `systemctl disable --now kpatch-metrics.timer 2>/dev/null; ${DPKG} -i /root/kpatch.deb >/dev/null 2>&1 || exit; ${ENABLED}; ${ACTIVE}`,
    'enabled enabled disabled\nactive inactive\n',
  ],
];
const debGoes: readonly Step[] = [
  // As `kpatch auto` leaves it on a machine that follows a channel.
  [
    'tar -xzf /root/machine.tar.gz -C / ./etc/systemd && systemctl daemon-reload && systemctl start kpatch-update.timer && systemctl is-active kpatch-update.timer',
    'active\n',
  ],
  [
    `${DPKG} -P kpatch >/dev/null 2>&1 || exit; ${ACTIVE}; systemctl is-active kpatch-update.timer; systemctl list-unit-files 'kpatch*' --no-legend | grep -v kpatch-guest; ls -d /var/lib/kpatch /var/cache/kpatch 2>/dev/null`,
    'inactive inactive\ninactive\n',
  ],
  ['systemctl stop kpatch.service; systemctl --failed --no-legend', ''],
];
const rpmComesAndGoes: readonly Step[] = [
  [`${RPM} -i /root/kpatch.rpm 2>/dev/null || exit; ${ENABLED}; ${ACTIVE}`, 'enabled enabled enabled\nactive active\n'],
  [
    `systemctl disable --now kpatch-metrics.timer 2>/dev/null; ${RPM} -U --force /root/kpatch.rpm 2>/dev/null || exit; ${ENABLED}; ${ACTIVE}`,
    'enabled enabled disabled\nactive inactive\n',
  ],
  [
    `${RPM} -e kpatch 2>/dev/null || exit; ${ACTIVE}; systemctl list-unit-files 'kpatch*' --no-legend | grep -v kpatch-guest; systemctl --failed --no-legend`,
    'inactive inactive\n',
  ],
];

async function comeAndGo(steps: readonly Step[]): Promise<void> {
  using work = temporaryFolder('kpatch-small-packages-');
  const { deb, rpm } = await smallPackages(work.path);
  const { image, modules } = await stockKernel();
  const guest = await bootSystem({
    image,
    modules,
    visible: [process.cwd(), await packages()],
    files: {
      '/root/kpatch.deb': { from: deb },
      '/root/kpatch.rpm': { from: rpm },
      '/root/machine.tar.gz': readFileSync(fixture('machine.tar.gz')),
    },
  });
  try {
    for (const [script, printed] of steps) {
      const { output } = await guest.run(script, { deadlineMs: 180_000 });
      assert.equal(output, printed, script);
    }
  } finally {
    await guest.stop();
  }
}

if (process.env.KPATCH_SOAK === '1') {
  test('both packages tell systemd what to do when they come, are upgraded, and go', () =>
    comeAndGo([...debComes, ...debUpgrades, ...debGoes, ...rpmComesAndGoes]));
} else test('the package tells systemd what to do when it comes and goes', () => comeAndGo([...debComes, ...debGoes]));

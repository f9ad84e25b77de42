/** The host through reboots, with systemd as init: kept, replaced, switched off, and a patch that crashes the machine at boot. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Guest } from '#kpatch/vm/guest.ts';
import { makeDisk } from '#kpatch/vm/system.ts';
import { provokes } from '../provoke.ts';
import { BAD_LOG, bootHost, LP } from './host-guest.ts';

const folder = mkdtempSync(join(tmpdir(), 'kpatch-test-'));
after(() => rmSync(folder, { recursive: true }));

/** Waits until the system is up; `--wait` of systemctl gives up where the bus is not there yet. */
const UP =
  'for i in $(seq 110); do case $(systemctl is-system-running) in running|degraded) break;; esac; sleep 1; done';
const minutes = (count: number): { deadlineMs: number } => ({ deadlineMs: count * 60_000 });

async function reboot(guest: Guest): Promise<void> {
  await provokes('guest-ended', () => guest.run('systemctl reboot; sleep 120', minutes(4)));
  await guest.stop();
}

/** When something happened to a unit, in microseconds since the kernel began. */
async function timeOf(guest: Guest, what: string, unit: string): Promise<number> {
  const { output } = await guest.run(`systemctl show -P ${what}TimestampMonotonic ${unit}`);
  return Number(output.trim());
}

const kernels = process.env.KPATCH_SOAK === '1' ? (['6.1', '6.12'] as const) : (['6.1'] as const);
const title =
  'installed, rebooted, applied before the network; one that panics is not tried twice; replaced twice; kpatch.enable=0; uninstalled, gone';
for (const series of kernels) test(`${series}: ${title}`, () => throughReboots(series));

async function throughReboots(series: '6.1' | '6.12'): Promise<void> {
  const disk = join(folder, `disk-${series}`);
  await makeDisk(disk, 512);
  // Memory of the firmware that keeps the kernel's last words: pstore's ERST backend.
  const memory = `memory-backend-file,id=erst,mem-path=${disk}.erst,size=64K,share=on`;
  const devices = ['-object', memory, '-device', 'acpi-erst,memdev=erst'];

  const first = await bootHost({ series, disk, devices });
  try {
    const installed = await first.run(`kpatch install ${LP}/lp_one.ko && cat /proc/loadavg; kpatch status`, minutes(2));
    // The guest's agent is a service, not a person at work: the boot guard watches what it installs.
    assert.match(
      installed.output,
      /\nlp_one\n(.|\n)*Boots next +lp_one \(version 1\); this boot is still on trial \(boot guard\)\n/,
    );
    assert.equal(installed.status, 0, installed.output);
    const journal = await first.run(
      'journalctl -o cat KPATCH_PATCH=lp_one KPATCH_OUTCOME=loaded; systemctl is-enabled kpatch.service',
    );
    assert.match(journal.output, /live patch lp_one is active.*\nenabled\n/);
    // A patch that cannot be loaded at boot keeps the others neither from being loaded nor from counting as survived.
    await first.runOk('echo junk >/var/lib/kpatch/$(uname -r)/broken.ko; sync');
    await reboot(first);
  } finally {
    await first.stop();
  }

  const second = await bootHost({ series, disk, devices });
  try {
    const booted = await second.run(
      `${UP}; cat /proc/loadavg; systemctl is-active kpatch.service; kpatch status`,
      minutes(4),
    );
    assert.match(
      booted.output,
      /^lp_one\nfailed\n(.|\n)*Boots next +lp_one \(version 1\), broken; this boot is still on trial/,
    );
    const network = await timeOf(second, 'ActiveEnter', 'network-pre.target');
    const patched = await timeOf(second, 'ExecMainExit', 'kpatch.service');
    assert.ok(patched > 0 && patched <= network, `patched at ${patched} us, network-pre.target at ${network} us`);
    const next = `rm /var/lib/kpatch/*/broken.ko; systemctl stop kpatch-shutdown.service; kpatch status; kpatch install --no-load ${LP}/lp_panics.ko && kpatch list`;
    const { output } = await second.run(next, minutes(2));
    assert.match(
      output,
      /Boots next +lp_one \(version 1\)\n(.|\n)*Loaded patch modules:\nlp_one \[enabled\]\n\n.*\nlp_panics /,
    );
    assert.equal((await second.run(BAD_LOG)).output, '');
    await reboot(second);
  } finally {
    await second.stop();
  }

  const error = await provokes('guest-panicked', async () => {
    const third = await bootHost({ series, disk, devices });
    try {
      await third.run(UP, minutes(4));
    } finally {
      await third.stop();
    }
  });
  assert.match(error.message, /lp_panics: a bad patch/);

  const fourth = await bootHost({ series, disk, devices });
  try {
    const status = await fourth.run(
      `${UP}; cat /proc/loadavg; kpatch status; echo $?; journalctl -o cat KPATCH_OUTCOME=blocked`,
      minutes(2),
    );
    assert.match(
      status.output,
      /lp_panics is blocked: the crash record \S+ names it.*\n1\nnot loading live patch lp_panics: the crash record/,
    );
    assert.doesNotMatch(status.output, /^lp_panics/);
    const twice = `kpatch install --downgrade ${LP}/lp_two.ko && kpatch install ${LP}/lp_three.ko && kpatch status`;
    const back = await fourth.run(`${twice} && ls /sys/kernel/livepatch`, minutes(3));
    assert.match(
      back.output,
      /Boots next +lp_three \(version 3\)(.|\n)*\nBoot guard +.* names lp_panics\n(.|\n)*To do +nothing\nlp_three\n$/,
    );
    assert.equal(back.status, 0, back.output);
    await reboot(fourth);
  } finally {
    await fourth.stop();
  }

  const fifth = await bootHost({ series, disk, kernelArguments: ['kpatch.enable=0'] });
  try {
    const { output } = await fifth.run(
      `${UP}; kpatch list; systemctl is-active kpatch.service; kpatch load --all && cat /proc/loadavg; kpatch uninstall lp_three; kpatch list`,
      minutes(2),
    );
    assert.match(
      output,
      /^Loaded patch modules:\n\nInstalled patch modules:\nlp_three .*\ninactive\n(.|\n)*\nlp_three\n(.|\n)*Installed patch modules:\n$/,
    );
    await reboot(fifth);
  } finally {
    await fifth.stop();
  }

  const sixth = await bootHost({ series, disk, devices });
  try {
    const { output } = await sixth.run(`${UP}; kpatch list; cat /proc/loadavg; kpatch status`, minutes(4));
    assert.match(output, /^Loaded patch modules:\n\nInstalled patch modules:\n[\d.]+ (.|\n)*To do +nothing\n$/);
    assert.equal((await sixth.run(BAD_LOG)).output, '');
  } finally {
    await sixth.stop();
  }
}

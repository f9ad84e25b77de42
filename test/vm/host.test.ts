/** The host on the stock kernel, in short-lived guests: the known verbs, stalls, refusals, faults. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BAD_LOG, bootSmall, inside, LP } from './host-guest.ts';

/** A program whose parent sleeps in vfork(2), deaf to signals, until it is killed; and one that sleeps in pause(2). */
const SLEEPERS = `cat >/tmp/sleepers.c <<'END'
#include <unistd.h>
#include <string.h>
int main(int argc, char **argv) {
  if (strcmp(argv[1], "pause") == 0) for (;;) pause();
  if (vfork() == 0) for (;;) sleep(1000);
  return 0;
}
END
gcc-12 -o /usr/local/bin/sleepers /tmp/sleepers.c`;

/** One step: what is typed, the exit status, and what must be printed (standard output and error together). */
type Step = readonly [script: string, status: number, printed: RegExp];

const verbs: readonly Step[] = [
  ['kpatch list', 0, /^Loaded patch modules:\n\nInstalled patch modules:\n$/],
  [`kpatch load ${LP}/lp_one.ko && cat /proc/loadavg`, 0, /^lp_one$/m],
  ['kpatch list', 0, /^Loaded patch modules:\nlp_one \[enabled\]\n\nInstalled patch modules:\n$/],
  ['kpatch list -f', 0, /\n\nLivepatched functions:\nloadavg_proc_show \(vmlinux\) \[lp_one\]\n$/],
  [`kpatch load ${LP}/lp_one.ko`, 0, /active already/],
  ['kpatch unload lp_one && ! grep lp_ /proc/loadavg /proc/modules', 0, /lp_one was unloaded/],
  ['kpatch unload lp_one', 1, /not-loaded/],
  ['kpatch signal', 3, /no-transition/],
];

const replacing: readonly Step[] = [
  [`for n in one two three; do kpatch install ${LP}/lp_$n.ko || exit; done`, 0, /lp_three is installed/],
  ['cat /proc/loadavg; ls /sys/module | grep lp_', 0, /^lp_three\nlp_three\n$/],
  [
    'kpatch list',
    0,
    /^Loaded patch modules:\nlp_three \[enabled\]\n\nInstalled patch modules:\nlp_three \(6\.[^ )]+\)\n$/,
  ],
  [`kpatch install ${LP}/lp_two.ko`, 4, /newer-loaded/],
  ['kpatch status; kpatch verify', 0, /CVE-2026-3(.|\n)*all agrees/],
  ['kpatch unload lp_three && kpatch load lp_three && cat /proc/loadavg', 0, /^lp_three$/m],
  ['kpatch uninstall lp_three && kpatch unload --all && kpatch list', 0, /Installed patch modules:\n$/],
];

const others: readonly Step[] = [
  [`kpatch load ${LP}/lp_foreign.ko && kpatch status; cat /proc/loadavg`, 0, /version not known(.|\n)*\nlp_foreign/],
  [`kpatch load ${LP}/lp_one.ko`, 4, /replaces-unknown/],
  [`kpatch load --downgrade ${LP}/lp_one.ko && kpatch unload lp_one && kpatch list`, 0, /Loaded patch modules:\n\n/],
];

const bad: readonly Step[] = [
  [`head -c 5000 ${LP}/lp_one.ko >/tmp/cut.ko; kpatch load /tmp/cut.ko`, 1, /elf-truncated/],
  ['kpatch load /etc/passwd', 1, /elf-not-elf/],
  [`sed 's/vermagic=[0-9]/vermagic=9/' ${LP}/lp_one.ko >/tmp/x.ko; kpatch load /tmp/x.ko`, 4, /release-mismatch/],
  [`sed 's/SMP preempt/SMP other--/' ${LP}/lp_one.ko >/tmp/x.ko; kpatch load /tmp/x.ko`, 4, /vermagic-mismatch/],
  [
    `sysctl -q kernel.ftrace_enabled=0; kpatch load ${LP}/lp_one.ko; s=$?; sysctl -q kernel.ftrace_enabled=1; exit $s`,
    4,
    /ftrace-disabled/,
  ],
  [
    `kpatch install --no-load ${LP}/lp_one.ko; f=$(echo /var/lib/kpatch/*/lp_one.ko); printf X | dd of=$f bs=1 seek=3000 conv=notrunc status=none; kpatch load --all`,
    1,
    /not what was installed/,
  ],
  ['kpatch uninstall lp_one; ls /sys/kernel/livepatch /sys/module | grep -c lp_', 1, /\n0\n$/],
];

const stalls: readonly Step[] = [
  [SLEEPERS, 0, /^$/],
  [
    `sleepers pause & sleep 1; kpatch load ${LP}/lp_pause.ko --wait 30; s=$?; kill %1; exit $s`,
    0,
    /sleepers \(pid \d+\): in __x64_sys_pause, sleeping, waits for a signal.*(.|\n)*is loaded and active/,
  ],
  [
    `(sleepers vfork &) ; sleep 1; kpatch load ${LP}/lp_vfork.ko --downgrade --wait 8`,
    1,
    /transition-reverted(.|\n)*sleepers \(pid \d+\): in __x64_sys_vfork/,
  ],
  ['cat /sys/kernel/livepatch/*/transition; ls /sys/kernel/livepatch /sys/module | grep -c lp_vfork', 1, /^0\n0\n$/],
  [
    `kpatch load ${LP}/lp_vfork.ko --downgrade --wait 4 --leave; kpatch status`,
    1,
    /Transition +lp_vfork is enabling: \d+ of \d+ tasks have come over\n.*sleepers.*_sys_vfork/,
  ],
  [`kpatch load ${LP}/lp_one.ko --downgrade`, 1, /load-busy/],
  ['kpatch signal && kpatch force', 2, /not-confirmed/],
  ['kpatch unload lp_vfork; ls /sys/module | grep -c lp_vfork', 1, /\n0\n$/],
  [`kpatch load ${LP}/lp_kswapd.ko --downgrade --wait 5`, 1, /kswapd0 \(kernel thread \d+\): in kswapd/],
  ['pkill -9 sleepers; kpatch unload --all; kpatch list', 0, /Loaded patch modules:\n\n/],
];

const faults: readonly Step[] = [
  // Two at once, then kill -9 of the first in the middle of its transition: the store has nothing, and that is said.
  [
    `(sleepers vfork &); sleep 1; kpatch install ${LP}/lp_vfork.ko & sleep 6; kpatch install ${LP}/lp_one.ko; kill -9 $!; wait; kpatch list`,
    0,
    /\[locked\](.|\n)*lp_vfork \[enabling\.\.\.\]\n\nInstalled patch modules:\n$/,
  ],
  ['pkill -9 sleepers; sleep 4; kpatch verify', 1, /active and not installed/],
  ['kpatch unload lp_vfork && kpatch verify', 0, /all agrees/],
  [
    `mount -t tmpfs -o size=100k tmpfs /var/lib/kpatch; dd if=/dev/zero of=/var/lib/kpatch/fill bs=1k 2>/dev/null; kpatch install ${LP}/lp_one.ko; s=$?; kpatch list; umount /var/lib/kpatch; exit $s`,
    1,
    /\[disk-full\](.|\n)*Loaded patch modules:\n\nInstalled patch modules:\n$/,
  ],
  [
    `mount -t tmpfs -o ro tmpfs /var/lib/kpatch; kpatch install ${LP}/lp_one.ko; s=$?; kpatch list; umount /var/lib/kpatch; exit $s`,
    1,
    /\[file-unwritable\](.|\n)*Loaded patch modules:\n\nInstalled patch modules:\n$/,
  ],
  [
    'setpriv --reuid 65534 --clear-groups kpatch list && setpriv --reuid 65534 --clear-groups kpatch status',
    0,
    /Kernel/,
  ],
  [`setpriv --reuid 65534 --clear-groups kpatch load /proc/self/cmdline`, 1, /elf-not-elf/],
];

/** Each part has a guest of its own. On 6.12 what differs between kernels: how patches are loaded, and what stacks look like. */
const parts: readonly (readonly [title: string, series: '6.1' | '6.12', steps: readonly Step[]])[] = [
  ['6.1: verbs, replacement, modules of others, refusals', '6.1', [...verbs, ...replacing, ...others, ...bad]],
  ['6.1: stalls and faults', '6.1', [...stalls, ...faults]],
  ['6.12: verbs, replacement, stalls', '6.12', [...verbs, ...replacing, ...stalls]],
];

for (const [title, series, steps] of parts) {
  test(title, async () => {
    const guest = await bootSmall({ series });
    try {
      for (const [script, status, printed] of steps) {
        const result = await guest.run(inside(script), { deadlineMs: 300_000 });
        assert.match(result.output, printed, script);
        assert.equal(result.status, status, `${script}\n${result.output}`);
      }
      assert.equal((await guest.run(BAD_LOG)).output, '', 'the kernel log is not clean');
    } finally {
      await guest.stop();
    }
  });
}

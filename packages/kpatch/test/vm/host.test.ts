/** The host on the stock kernel, in short-lived guests: the known verbs, stalls, refusals, faults. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BAD_LOG, bootSmall, type HostGuestOptions, inside, LP } from './host-guest.ts';

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
gcc-12 -o /usr/local/bin/sleepers /tmp/sleepers.c
cat >/usr/local/bin/wait-for <<'END'
#!/bin/sh
# wait-for COMMAND: waits until it succeeds, for two minutes at most.
end=$(($(date +%s) + 120))
until sh -c "$1" >/dev/null 2>&1; do [ $(date +%s) -lt $end ] || { echo waited in vain for "$1"; exit 1; }; sleep 0.1; done
END
chmod 755 /usr/local/bin/wait-for`;

/** Waits until a program sleeps in a function of the kernel. */
const asleep = (where: string): string => `wait-for 'cat /proc/[0-9]*/stack | grep -q ${where}'`;

/** One step: what is typed, the exit status, and what must be printed (standard output and error together). */
type Step = readonly [script: string, status: number, printed: RegExp];

const verbs: readonly Step[] = [
  ['kpatch list', 0, /^Loaded patch modules:\n\nInstalled patch modules:\n$/],
  [`kpatch load ${LP}/lp_one.ko && cat /proc/loadavg`, 0, /^lp_one$/m],
  ['kpatch list', 0, /^Loaded patch modules:\nlp_one \[enabled\]\n\nInstalled patch modules:\n$/],
  ['kpatch list -f', 0, /\n\nLivepatched functions:\nloadavg_proc_show \(vmlinux\) \[lp_one\]\n$/],
  [`kpatch load ${LP}/lp_one.ko`, 0, /already loaded and active/],
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
  ['kpatch status; kpatch verify', 0, /CVE-2026-3(.|\n)*Consistent\./],
  ['kpatch unload lp_three && kpatch load lp_three && cat /proc/loadavg', 0, /^lp_three$/m],
  ['kpatch uninstall lp_three && kpatch unload --all && kpatch list', 0, /Installed patch modules:\n$/],
];

const others: readonly Step[] = [
  [`kpatch load ${LP}/lp_foreign.ko && kpatch status; cat /proc/loadavg`, 0, /unknown version(.|\n)*\nlp_foreign/],
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
    /has changed since it was installed/,
  ],
  ['kpatch uninstall lp_one; ls /sys/kernel/livepatch /sys/module | grep -c lp_', 1, /\n0\n$/],
];

const TRACING = '/sys/kernel/tracing';
const hooks: readonly Step[] = [
  [
    `echo p:mine loadavg_proc_show >${TRACING}/kprobe_events && echo 1 >${TRACING}/events/kprobes/mine/enable && kpatch load --dry-run ${LP}/lp_one.ko`,
    0,
    /warning +users: there is a probe inside loadavg_proc_show/,
  ],
  [
    `kpatch load ${LP}/lp_one.ko && cat /proc/loadavg; kpatch unload lp_one; echo 0 >${TRACING}/events/kprobes/mine/enable; echo >${TRACING}/kprobe_events`,
    0,
    /there is a probe inside(.|\n)*\nlp_one\n/,
  ],
  [
    `echo loadavg_proc_show >${TRACING}/set_ftrace_filter; echo function >${TRACING}/current_tracer; kpatch load ${LP}/lp_one.ko && cat /proc/loadavg; kpatch unload lp_one; echo nop >${TRACING}/current_tracer; echo >${TRACING}/set_ftrace_filter`,
    0,
    /\nlp_one\n/,
  ],
  [`insmod ${LP}/hook.ko && kpatch load ${LP}/lp_one.ko; s=$?; rmmod hook; exit $s`, 4, /\[function-in-use\]/],
  [`kpatch load ${LP}/lp_other_build.ko`, 4, /\[build-id-mismatch\]/],
  [
    `kpatch load ${LP}/lp_state.ko && kpatch load ${LP}/lp_three.ko --downgrade; s=$?; insmod ${LP}/lp_three.ko; cat /proc/loadavg; kpatch unload lp_state; exit $s`,
    4,
    /\[state-incompatible\](.|\n)*Invalid parameters\nlp_state\n/,
  ],
  // A store that became read-only after a boot that was survived: what was there then is loaded, what came later is not.
  [
    `mount -t tmpfs -o mode=755 tmpfs /var/lib/kpatch; kpatch install --no-load ${LP}/lp_one.ko; kpatch load --all --boot && kpatch load --survived && kpatch unload lp_one && kpatch install --no-load ${LP}/lp_foreign.ko; mount -o remount,ro /var/lib/kpatch; kpatch load --all --boot; s=$?; cat /proc/loadavg; kpatch unload lp_one; umount /var/lib/kpatch; exit $s`,
    1,
    /lp_foreign: .*\[?guard|cannot write the boot guard(.|\n)*\nlp_one\n/,
  ],
];

/** A module with the signature of another, by a key that the kernel trusts. */
const FOREIGN_SIGNATURE = `import glob, lzma
theirs = glob.glob('/usr/lib/modules/*/kernel/fs/overlayfs/overlay.ko*')[0]
theirs = (lzma.open if theirs.endswith('xz') else open)(theirs, 'rb').read()
length = int.from_bytes(theirs[-32:-28], 'big') + 40
assert theirs.endswith(b'~Module signature appended~\\n')
open('/tmp/signed.ko', 'wb').write(open('${LP}/lp_one.ko', 'rb').read() + theirs[-length:])`;

/** The kernel was started with module.sig_enforce=1. */
const signatures: readonly Step[] = [
  [`kpatch load ${LP}/lp_one.ko`, 4, /module\.sig_enforce is set \[signature-required\]/],
  [`python3 -c "${FOREIGN_SIGNATURE}" && kpatch load /tmp/signed.ko`, 1, /\[load-failed\](.|\n)*Key was rejected/],
  [
    `mount -t securityfs none /sys/kernel/security && echo integrity >/sys/kernel/security/lockdown && kpatch load ${LP}/lp_one.ko`,
    4,
    /lockdown mode is integrity \[signature-required\]/,
  ],
  ['kpatch status; kpatch list; ls /sys/module | grep -c lp_', 1, /Installed patch modules:\n0\n$/],
];

const LP_VFORK = '/sys/kernel/livepatch/lp_vfork';

const stalls: readonly Step[] = [
  [SLEEPERS, 0, /^$/],
  [
    `sleepers pause & ${asleep('sys_pause')}; kpatch load ${LP}/lp_pause.ko --wait 30; s=$?; kill %1; exit $s`,
    0,
    /sleepers \(pid \d+\): in __x64_sys_pause, sleeping, waits for a signal.*(.|\n)*is loaded and active/,
  ],
  [
    `(sleepers vfork &) ; ${asleep('sys_vfork')}; kpatch load ${LP}/lp_vfork.ko --downgrade --wait 8`,
    1,
    /transition-reverted(.|\n)*sleepers \(pid \d+\): in __x64_sys_vfork/,
  ],
  ['cat /sys/kernel/livepatch/*/transition; ls /sys/kernel/livepatch /sys/module | grep -c lp_vfork', 1, /^0\n0\n$/],
  [
    `kpatch load ${LP}/lp_vfork.ko --downgrade --wait 4 --leave; kpatch status`,
    1,
    /Transition +lp_vfork is enabling: \d+ of \d+ tasks have switched\n.*sleepers.*_sys_vfork/,
  ],
  [`kpatch load ${LP}/lp_one.ko --downgrade`, 1, /load-busy/],
  ['kpatch signal && kpatch force', 2, /not-confirmed/],
  ['kpatch unload lp_vfork; ls /sys/module | grep -c lp_vfork', 1, /\n0\n$/],
  [`kpatch load ${LP}/lp_kswapd.ko --downgrade --wait 5`, 1, /kswapd0 \(kernel thread \d+\): in kswapd/],
  // A task that sleeps in a function of the module, where the kernel does not look: the module stays until the task has left.
  [
    `kpatch load ${LP}/lp_jump.ko --downgrade; (sleepers pause &) ; ${asleep('deeper')}; kpatch unload lp_jump`,
    1,
    /sleepers \(pid \d+\) is still in its function deeper.*\[unload-refused\]/,
  ],
  ['cat /sys/kernel/livepatch/lp_jump/enabled; ls /sys/module | grep -c lp_jump', 0, /^.*No such file.*\n1\n$/],
  [
    "pkill -9 sleepers; wait-for '! cat /proc/[0-9]*/stack | grep -q deeper'; kpatch unload lp_jump; ls /sys/module | grep -c lp_jump",
    1,
    /\n0\n$/,
  ],
  ['pkill -9 sleepers; kpatch unload --all; kpatch list', 0, /Loaded patch modules:\n\n/],
];

const faults: readonly Step[] = [
  // Two at once, then kill -9 of the first in the middle of its transition: the store has nothing, and that is said.
  [
    `(sleepers vfork &); ${asleep('sys_vfork')}; kpatch install ${LP}/lp_vfork.ko & wait-for 'grep -q 1 ${LP_VFORK}/transition'; kpatch install ${LP}/lp_one.ko; kill -9 $!; wait; kpatch list`,
    0,
    /\[locked\](.|\n)*lp_vfork \[enabling\.\.\.\]\n\nInstalled patch modules:\n$/,
  ],
  [`pkill -9 sleepers; wait-for 'grep -q 0 ${LP_VFORK}/transition'; kpatch verify`, 1, /loaded but not installed/],
  ['kpatch unload lp_vfork && kpatch verify', 0, /Consistent\./],
  [
    `mount -t tmpfs -o size=100k,mode=755 tmpfs /var/lib/kpatch; dd if=/dev/zero of=/var/lib/kpatch/fill bs=1k 2>/dev/null; kpatch install ${LP}/lp_one.ko; s=$?; kpatch list; umount /var/lib/kpatch; exit $s`,
    1,
    /\[disk-full\](.|\n)*Loaded patch modules:\n\nInstalled patch modules:\n$/,
  ],
  [
    `mount -t tmpfs -o ro,mode=755 tmpfs /var/lib/kpatch; kpatch install ${LP}/lp_one.ko; s=$?; kpatch list; umount /var/lib/kpatch; exit $s`,
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

/**
 * Each part has a guest of its own. On 6.12 what differs between kernels: how patches are loaded, and what stacks look like.
 * With two processors, livepatch looks a second later whether the idle one has switched: so two parts have one, and the long form
 * repeats them with two.
 */
type Part = readonly [title: string, series: '6.1' | '6.12', steps: readonly Step[], options?: HostGuestOptions];
const ENFORCE: HostGuestOptions = { kernelArguments: ['module.sig_enforce=1'] };
const ONE_PROCESSOR: HostGuestOptions = { bootOptions: { cpus: 1 } };
const short: readonly Part[] = [
  ['6.1: verbs, replacement, modules of others, refusals', '6.1', [...verbs, ...replacing, ...others, ...bad]],
  ['6.1: other users of a function, other builds, states, a read-only store', '6.1', hooks, ONE_PROCESSOR],
  ['6.1: stalls and faults', '6.1', [...stalls, ...faults], ONE_PROCESSOR],
  ['6.12: verbs, replacement, stalls', '6.12', [...verbs, ...replacing, ...stalls]],
  ['6.12: signatures', '6.12', signatures, ENFORCE],
];
/** The rest of the kernels and parts, for `make soak`. */
const long: readonly Part[] = [
  ['6.12: modules of others, refusals', '6.12', [...others, ...bad, ...hooks]],
  ['6.12: faults', '6.12', [stalls[0]!, ...faults]],
  ['6.1: signatures', '6.1', signatures, ENFORCE],
  ['6.1: stalls, faults and other users, two processors', '6.1', [...stalls, ...faults, ...hooks]],
];

for (const [title, series, steps, options = {}] of process.env.KPATCH_SOAK === '1' ? [...short, ...long] : short) {
  test(title, async () => {
    const guest = await bootSmall({ series, ...options });
    try {
      for (const [script, status, printed] of steps) {
        const result = await guest.run(inside(script), { deadlineMs: 300_000 });
        assert.match(result.output, printed, script);
        assert.doesNotMatch(result.output, /waited in vain/, script);
        assert.equal(result.status, status, `${script}\n${result.output}`);
      }
      assert.equal((await guest.run(BAD_LOG)).output, '', 'the kernel log is not clean');
    } finally {
      await guest.stop();
    }
  });
}

/**
 * The program that runs inside a guest: a shell script that takes commands on the second serial port and sends back what
 * they print. One request is a line `run MARK LENGTH` and LENGTH bytes of shell script; the answer is the script's output
 * as it comes, then a newline, MARK, a blank, the exit status and a newline. MARK is a fresh random word for each request,
 * so that nothing a script prints can be taken for its end.
 */

import type { Emulator } from '../../platform/common/emulator.ts';

/** What the agent says once it listens. */
export const READY = 'kpatch-guest-ready';

/** Where the agent keeps its own files in the guest. */
export const AGENT_FOLDER = '/run/kpatch-guest';

/** The loop of the agent on the serial port of the machine; `shell` runs the scripts. Everything it needs besides is in POSIX shell, `stty` and `head`. */
export function agentLoop(shell: string, { agentPort: port }: Emulator): string {
  return `mkdir -p ${AGENT_FOLDER}
stty -F ${port} raw -echo
exec <${port} >${port}
printf '\\n${READY}\\n'
while read -r verb mark length; do
  [ "$verb" = run ] || continue
  head -c "$length" >${AGENT_FOLDER}/script
  ${shell} ${AGENT_FOLDER}/script </dev/null 2>&1
  printf '\\n%s %s\\n' "$mark" $?
done
`;
}

/**
 * `/init` of a guest that consists of busybox and the caller's files; `modules` are loaded before it listens, and the shell
 * commands of `service` run then.
 *
 * The agent is a child of init. Init gets SIGCHLD when any orphan ends, and the `read` of busybox starts again when a signal
 * interrupts it and forgets the part of the line that it has read (shell/ash.c, readcmd): a command that arrived while a workload
 * ran was lost, and the guest looked hung.
 */
export function initScript(modules: readonly string[], emulator: Emulator, service = ''): string {
  return `#!/bin/sh
export PATH=/bin HOME=/root TERM=dumb
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
hostname kpatch-guest
ip link set lo up
${modules.map((name) => `modprobe ${name}`).join('\n')}
${service}
(
${agentLoop('sh', emulator)})
poweroff -f
`;
}

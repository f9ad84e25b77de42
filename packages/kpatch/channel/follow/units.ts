/** What makes a machine follow by itself: a timer with a random delay, and hooks that run when a kernel is installed. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import { run } from '../../base/run.ts';
import { kernelHookFolder } from '../../distro/names.ts';

const service = 'etc/systemd/system/kpatch-update.service';
const timer = 'etc/systemd/system/kpatch-update.timer';
const packageHook = join(kernelHookFolder('deb'), 'kpatch-channel');
const installHook = join(kernelHookFolder('rpm'), '95-kpatch-channel.install');

/** This program, as a unit calls it. */
export function selfCommand(): string[] {
  const main = process.argv[1] ?? '';
  if (basename(process.execPath) !== 'node' || main === '') return [process.execPath];
  return [join(dirname(main), '../../bin/kpatch')];
}

/** The command that is written into units: the installed one where there is one. */
function unitCommand(root: string): string {
  const installed = ['/usr/sbin/kpatch', '/usr/bin/kpatch', '/usr/local/bin/kpatch'].find((path) =>
    existsSync(join(root, path)),
  );
  return installed ?? selfCommand().join(' ');
}

// A kernel is installed while the package manager holds its locks: the service is only started, and waits for them itself.
const hook = `#!/bin/sh
# Subscribes a kernel to live patches as it is installed; written by kpatch auto, removed by kpatch manual.
if [ "$1" = remove ]; then exit 0; fi
if [ -d /run/systemd/system ]; then systemctl --no-block start kpatch-update.service || :; fi
exit 0
`;

/** Writes units and hooks and starts the timer. */
export async function enableUnits(root: string): Promise<void> {
  const write = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeAtomically(join(root, path), text, mode);
  };
  write(
    service,
    `[Unit]
Description=Update live patches of the kernel from their channel
Documentation=man:kpatch-update(1)
# The package may be removed and its settings kept: then there is nothing to do.
ConditionFileIsExecutable=${unitCommand(root).split(' ')[0]}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart=${unitCommand(root)} update
# Nothing to do is no failure.
SuccessExitStatus=3
Nice=10
`,
  );
  write(
    timer,
    `[Unit]
Description=Look for new live patches of the kernel

[Timer]
OnCalendar=*-*-* 00/6:00:00
# So that not all machines ask the channel in the same minute.
RandomizedDelaySec=2h
Persistent=true

[Install]
WantedBy=timers.target
`,
  );
  write(packageHook, hook, 0o755);
  if (existsSync(join(root, 'usr/lib/kernel/install.d')) && !existsSync(join(root, 'var/lib/dpkg/status')))
    write(installHook, hook, 0o755);
  await systemctl(root, ['daemon-reload'], ['enable', '--now', 'kpatch-update.timer']);
}

/** Stops the timer and removes what `enableUnits` wrote. */
export async function disableUnits(root: string): Promise<void> {
  if (existsSync(join(root, timer))) await systemctl(root, ['disable', '--now', 'kpatch-update.timer']);
  for (const file of [timer, service, packageHook, installHook]) rmSync(join(root, file), { force: true });
  await systemctl(root, ['daemon-reload']);
}

/** True if the timer is set up and something runs it: systemd, or for an image the systemd that it boots with. */
export function timerRuns(root: string): boolean {
  return unitsEnabled(root) && (root !== '/' || existsSync('/run/systemd/system'));
}

/** In mode `auto` something must look for updates. */
export function timerProblems(mode: string, running: boolean): string[] {
  return mode === 'auto' && !running
    ? ['nothing looks for updates: systemd does not run here; run kpatch update from cron']
    : [];
}

/** True if the timer is set up. */
function unitsEnabled(root: string): boolean {
  return existsSync(join(root, timer));
}

async function systemctl(root: string, ...calls: readonly string[][]): Promise<void> {
  if (root !== '/') {
    // In an image only links can be made; the rest happens when it boots.
    for (const call of calls.filter(([verb]) => verb !== 'daemon-reload')) {
      await run('systemctl', ['--root', root, ...call.filter((word) => word !== '--now')]).catch(() => undefined);
    }
    return;
  }
  if (!existsSync('/run/systemd/system')) return;
  for (const call of calls) await run('systemctl', call).catch(() => undefined);
}

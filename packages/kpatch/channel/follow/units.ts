/** What makes a machine follow by itself: a timer with a random delay, and hooks that run when a kernel is installed. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import { run } from '../../base/run.ts';
import { kernelHookFolder } from '../../distro/names.ts';

const service = 'etc/systemd/system/kpatch-update.service';
const fetchService = 'etc/systemd/system/kpatch-fetch.service';
/** What the service that fetches hands over; systemd makes the folder and gives it to the service's user. */
const fetchFolder = '/var/lib/kpatch-fetch';
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
export function unitCommand(root: string): string {
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

/** For all services. V8 compiles at run time, so memory that is writable and executable stays allowed. */
export const hardened = `NoNewPrivileges=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
`;

/** For a service that uses the network: a user of its own, without rights, that can write nothing but its state folder. */
export const unprivileged = `DynamicUser=yes
CapabilityBoundingSet=
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectKernelLogs=yes
PrivateUsers=yes
UMask=0022
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
${hardened}`;

/** Fetches and verifies, as a user of its own that can write nothing but its folder. */
function fetchUnit(command: string): string {
  return `[Unit]
Description=Fetch live patches of the kernel from their channel
Documentation=man:kpatch-channel(1)
ConditionFileIsExecutable=${command.split(' ')[0]}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart=${command} channel fetch --to ${fetchFolder}
Nice=10
TimeoutStartSec=15min
StateDirectory=kpatch-fetch
${unprivileged.replace('ProtectKernelModules=yes\n', '# ProtectKernelModules= would hide /lib/modules, whose folders name the installed kernels. It may load none anyway.\n')}`;
}

/** Installs what was fetched. It has no network, and verifies everything again. */
function applyUnit(command: string): string {
  return `[Unit]
Description=Update live patches of the kernel from their channel
Documentation=man:kpatch-update(1)
# The package may be removed and its settings kept: then there is nothing to do.
ConditionFileIsExecutable=${command.split(' ')[0]}
# Also where fetching fails: then this says so, and raises the alarm.
Wants=kpatch-fetch.service
After=kpatch-fetch.service

[Service]
Type=oneshot
ExecStart=${command} update --fetched ${fetchFolder}
# Nothing to do is no failure.
SuccessExitStatus=3
Nice=10
# Loading a module is a part of this: see kpatch.service.
CapabilityBoundingSet=CAP_SYS_MODULE CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_KILL CAP_SYSLOG CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER
SystemCallFilter=@system-service @module @debug
SystemCallFilter=~@clock @cpu-emulation @obsolete @raw-io @reboot @swap
# The store may be a link to another disk: only /usr, /boot and /etc are read-only.
ProtectSystem=full
PrivateTmp=yes
RestrictAddressFamilies=AF_UNIX
IPAddressDeny=any
${hardened}`;
}

/** apt and dnf run the scripts of packages, which may need anything: this unit has all rights. */
function packagesUnit(command: string): string {
  return `[Unit]
Description=Update live patches of the kernel from their channel
Documentation=man:kpatch-update(1)
# The package may be removed and its settings kept: then there is nothing to do.
ConditionFileIsExecutable=${command.split(' ')[0]}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart=${command} update
# Nothing to do is no failure.
SuccessExitStatus=3
Nice=10
`;
}

/** The services of a machine that follows by TUF or by packages, by the paths of their files. */
export function serviceUnits(source: 'tuf' | 'packages', command: string): ReadonlyMap<string, string> {
  if (source === 'packages') return new Map([[service, packagesUnit(command)]]);
  return new Map([
    [service, applyUnit(command)],
    [fetchService, fetchUnit(command)],
  ]);
}

/** Writes units and hooks and starts the timer. */
export async function enableUnits(root: string, source: 'tuf' | 'packages'): Promise<void> {
  const write = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeAtomically(join(root, path), text, mode);
  };
  rmSync(join(root, fetchService), { force: true });
  for (const [path, text] of serviceUnits(source, unitCommand(root))) write(path, text);
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
  await removeUnits(root, timer, [service, fetchService, packageHook, installHook]);
}

/** Stops a timer and removes its file and the other files of its services. Paths are relative to the root. */
export async function removeUnits(root: string, timerFile: string, others: Iterable<string>): Promise<void> {
  if (existsSync(join(root, timerFile))) await systemctl(root, ['disable', '--now', basename(timerFile)]);
  for (const file of [timerFile, ...others]) rmSync(join(root, file), { force: true });
  await systemctl(root, ['daemon-reload']);
}

/** True if the timer is set up and something runs it. */
export function timerRuns(root: string): boolean {
  return unitsEnabled(root) && hasSystemd(root);
}

/** True if systemd runs here; an image is taken to boot with it. */
export function hasSystemd(root: string): boolean {
  return root !== '/' || existsSync('/run/systemd/system');
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

/** Calls systemctl(1); for an image only links are made, and the rest happens when it boots. */
export async function systemctl(root: string, ...calls: readonly string[][]): Promise<void> {
  if (root !== '/') {
    for (const call of calls.filter(([verb]) => verb !== 'daemon-reload')) {
      await run('systemctl', ['--root', root, ...call.filter((word) => word !== '--now')]).catch(() => undefined);
    }
    return;
  }
  if (!hasSystemd(root)) return;
  for (const call of calls) await run('systemctl', call).catch(() => undefined);
}

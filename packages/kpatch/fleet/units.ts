/**
 * The units of a machine in a fleet. What signs reports has no network, what sends them has no rights, and a third service
 * reads the answer.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeAtomically } from '../base/files.ts';
import { hardened, systemctl, unitCommand } from '../channel/follow/units.ts';

const folder = 'etc/systemd/system';
const timer = `${folder}/kpatch-report.timer`;

function collectUnit(command: string): string {
  return `[Unit]
Description=Sign a report of the live patches of this machine
Documentation=man:kpatch-report(1)
ConditionPathExists=/etc/kpatch/fleet/membership.json
ConditionFileIsExecutable=${command.split(' ')[0]}
Wants=kpatch-send.service

[Service]
Type=oneshot
ExecStart=${command} report --collect
Nice=10
TimeoutStartSec=5min
StateDirectory=kpatch-report
# It reads stacks of tasks that hold up a transition, the tracing files, and the key.
CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_SYS_PTRACE CAP_SYSLOG
SystemCallFilter=@system-service
SystemCallFilter=~@clock @cpu-emulation @obsolete @raw-io @reboot @swap @mount
ProtectSystem=strict
ProtectHome=yes
ProtectKernelModules=yes
PrivateTmp=yes
RestrictAddressFamilies=AF_UNIX
IPAddressDeny=any
${hardened}`;
}

function sendUnit(command: string): string {
  return `[Unit]
Description=Send reports of this machine to its fleet server
Documentation=man:kpatch-report(1)
ConditionPathExists=/etc/kpatch/fleet/membership.json
ConditionFileIsExecutable=${command.split(' ')[0]}
Wants=network-online.target
After=network-online.target kpatch-report.service
# Older systemd ignores this line; then the next report reads the answer.
OnSuccess=kpatch-settle.service

[Service]
Type=oneshot
ExecStart=${command} report --send
Nice=10
TimeoutStartSec=5min
DynamicUser=yes
StateDirectory=kpatch-send
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
}

function settleUnit(command: string): string {
  return `[Unit]
Description=Read the answer of the fleet server
Documentation=man:kpatch-report(1)
ConditionPathExists=/etc/kpatch/fleet/membership.json
ConditionFileIsExecutable=${command.split(' ')[0]}

[Service]
Type=oneshot
ExecStart=${command} report --settle
Nice=10
TimeoutStartSec=5min
StateDirectory=kpatch-report
CapabilityBoundingSet=CAP_DAC_READ_SEARCH
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
ProtectSystem=strict
ProtectHome=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectKernelLogs=yes
PrivateTmp=yes
RestrictAddressFamilies=AF_UNIX
IPAddressDeny=any
${hardened}`;
}

/** Every machine reports at its own second, so that the server sees an even stream: the key decides. */
function timerUnit(intervalSeconds: number, host: string): string {
  const offset = Number.parseInt(host.slice(0, 8), 16) % intervalSeconds;
  return `[Unit]
Description=Report the live patches of this machine

[Timer]
OnBootSec=${30 + (offset % 60)}
OnUnitActiveSec=${intervalSeconds}
RandomizedDelaySec=${Math.ceil(intervalSeconds / 10)}
AccuracySec=1

[Install]
WantedBy=timers.target
`;
}

/** The services, by the paths of their files. */
export function reportUnits(command: string): ReadonlyMap<string, string> {
  return new Map([
    [`${folder}/kpatch-report.service`, collectUnit(command)],
    [`${folder}/kpatch-send.service`, sendUnit(command)],
    [`${folder}/kpatch-settle.service`, settleUnit(command)],
  ]);
}

/** Writes the units and starts the timer. */
export async function writeReportUnits(root: string, intervalSeconds: number, host: string): Promise<void> {
  mkdirSync(dirname(join(root, timer)), { recursive: true });
  for (const [path, text] of reportUnits(unitCommand(root))) writeAtomically(join(root, path), text);
  writeAtomically(join(root, timer), timerUnit(intervalSeconds, host));
  await systemctl(root, ['daemon-reload'], ['enable', '--now', 'kpatch-report.timer']);
}

/** Stops the timer and removes the units. */
export async function removeReportUnits(root: string): Promise<void> {
  if (existsSync(join(root, timer))) await systemctl(root, ['disable', '--now', 'kpatch-report.timer']);
  for (const file of [timer, ...reportUnits('').keys()]) rmSync(join(root, file), { force: true });
  await systemctl(root, ['daemon-reload']);
}

/** True if something runs the timer: systemd, or for an image the systemd that it boots with. */
export function timerWorks(root: string): boolean {
  return root !== '/' || existsSync('/run/systemd/system');
}

/** Lets the service that updates look for what the server chose. */
export async function startUpdate(root: string): Promise<void> {
  if (root === '/') await systemctl(root, ['start', '--no-block', 'kpatch-update.service']);
}

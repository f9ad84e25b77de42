/**
 * The units of a machine in a fleet. What signs reports has no network, what sends them has no rights, and a third service
 * reads the answer.
 */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeAtomically } from '../base/files.ts';
import { hardened, removeUnits, systemctl, unitCommand, unprivileged } from '../channel/follow/units.ts';

const folder = 'etc/systemd/system';
const timer = `${folder}/kpatch-report.timer`;

interface ReportStep {
  readonly description: string;
  /** The option of `kpatch report`. */
  readonly option: string;
  /** Lines for its place among the other units. */
  readonly order?: string;
  /** What it may do. */
  readonly rights: string;
}

function reportUnit(command: string, { description, option, order = '', rights }: ReportStep): string {
  return `[Unit]
Description=${description}
Documentation=man:kpatch-report(1)
ConditionPathExists=/etc/kpatch/fleet/membership.json
ConditionFileIsExecutable=${command.split(' ')[0]}
${order}
[Service]
Type=oneshot
ExecStart=${command} report ${option}
Nice=10
TimeoutStartSec=5min
${rights}`;
}

const collect: ReportStep = {
  description: 'Sign a report of the live patches of this machine',
  option: '--collect',
  order: 'Wants=kpatch-send.service\n',
  rights: `StateDirectory=kpatch-report
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
${hardened}`,
};

const send: ReportStep = {
  description: 'Send reports of this machine to its fleet server',
  option: '--send',
  order: `Wants=network-online.target
After=network-online.target kpatch-report.service
# Older systemd ignores this line; then the next report reads the answer.
OnSuccess=kpatch-settle.service
`,
  rights: `StateDirectory=kpatch-send
${unprivileged}`,
};

const settle: ReportStep = {
  description: 'Read the answer of the fleet server',
  option: '--settle',
  rights: `StateDirectory=kpatch-report
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
${hardened}`,
};

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
    [`${folder}/kpatch-report.service`, reportUnit(command, collect)],
    [`${folder}/kpatch-send.service`, reportUnit(command, send)],
    [`${folder}/kpatch-settle.service`, reportUnit(command, settle)],
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
  await removeUnits(root, timer, reportUnits('').keys());
}

/** Lets the service that updates look for what the server chose. */
export async function startUpdate(root: string): Promise<void> {
  if (root === '/') await systemctl(root, ['start', '--no-block', 'kpatch-update.service']);
}

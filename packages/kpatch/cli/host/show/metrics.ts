/** `kpatch metrics`: prints the state of this machine for Prometheus. */

import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { writeAtomically } from '../../../base/files.ts';
import { channelMetricsText } from '../../../channel/follow/metrics.ts';
import { rebootOf } from '../../../channel/follow/reboot.ts';
import { metricsText } from '../../../host/metrics.ts';
import { settleRebootFlag } from '../../../host/reboot-flag.ts';
import { statusOf } from '../../../host/status.ts';
import { action, type Context, type Outcome } from '../../command.ts';
import { type HostOptions, machineOf, withHostOptions } from '../host-options.ts';

export function register(program: Command): void {
  const command = program
    .command('metrics')
    .description('print the state of this machine as Prometheus metrics')
    .option('-o, --output <file>', 'write them to this file, for the textfile collector of the node exporter')
    .option('--if-present', 'with --output: write nothing if the folder of the file does not exist')
    .option('--reboot-flag', 'create /run/reboot-required while a reboot is due, and remove it if kpatch created it');
  withHostOptions(command).action(action(run));
}

function run(
  _: Context,
  options: HostOptions & { output?: string; ifPresent?: boolean; rebootFlag?: boolean },
): Outcome {
  const machine = machineOf(options);
  const { output } = options;
  const schema = 'kpatch.metrics/1';
  const status = statusOf(machine);
  // One day for the whole text: the days that are left and whether a reboot is due must not differ at midnight.
  const now = machine.clock.date();
  const reboot = rebootOf(machine, status, options.root, now);
  if (options.rebootFlag === true)
    settleRebootFlag(dirname(machine.run), machine.run, reboot.answer === 'due' ? reboot.reason : undefined);
  const whole = (): string => `${metricsText(machine)}${channelMetricsText(status.release, options.root, now, reboot)}`;
  if (output === undefined) return { schema, data: { status }, text: whole() };
  if (options.ifPresent && !existsSync(dirname(output))) return { schema, data: { written: null }, text: '' };
  writeAtomically(output, whole());
  return { schema, data: { written: output }, text: '' };
}

/** `kpatch metrics`: the machine's state for Prometheus. */

import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { writeAtomically } from '../../base/files.ts';
import { channelMetricsText } from '../../channel/follow/metrics.ts';
import { metricsText } from '../../host/metrics.ts';
import { statusOf } from '../../host/status.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { type HostOptions, machineOf, withHostOptions } from './host-options.ts';

export function register(program: Command): void {
  const command = program
    .command('metrics')
    .description("the machine's state as Prometheus metrics")
    .option('-o, --output <file>', "write them there, as the node exporter's textfile collector wants it")
    .option('--if-present', "with --output: do nothing where the file's folder is not there");
  withHostOptions(command).action(action(run));
}

function run(_: Context, options: HostOptions & { output?: string; ifPresent?: boolean }): Outcome {
  const machine = machineOf(options);
  const { output } = options;
  const schema = 'kpatch.metrics/1';
  const whole = (): string => `${metricsText(machine)}${channelMetricsText(statusOf(machine).release, options.root)}`;
  if (output === undefined) return { schema, data: { status: statusOf(machine) }, text: whole() };
  if (options.ifPresent && !existsSync(dirname(output))) return { schema, data: { written: null }, text: '' };
  writeAtomically(output, whole());
  return { schema, data: { written: output }, text: '' };
}

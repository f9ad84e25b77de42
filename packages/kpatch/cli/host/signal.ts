/** `kpatch signal`: helps a running transition along. */
import type { Command } from 'commander';
import { requireTransition } from '../../host/live/force.ts';
import { holdupLine } from '../../host/live/stall.ts';
import { scanTasks } from '../../host/live/tasks.ts';
import { currentHoldups, signalTasks } from '../../host/live/transition.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { type HostOptions, machineOf, withHostOptions } from './host-options.ts';

export function register(program: Command): void {
  const command = program.command('signal').description('wake the tasks that hold the running transition up');
  withHostOptions(command).action(action(run));
}

async function run(_: Context, options: HostOptions): Promise<Outcome> {
  const machine = machineOf(options);
  const patch = requireTransition(machine);
  const { remaining } = scanTasks(machine, patch.enabled ? 1 : 0);
  const { progress, holdups } = currentHoldups(machine, patch.name);
  const signalled = await signalTasks(machine, patch.name, remaining(Number.POSITIVE_INFINITY));
  const text = [
    `${patch.name}: ${progress.done} of ${progress.total} tasks had come over; ${signalled} were signalled`,
    ...holdups.map((holdup) => `  ${holdupLine(holdup)}`),
  ];
  return {
    schema: 'kpatch.signal/1',
    data: { patch: patch.name, progress, holdups, signalled },
    text: text.join('\n'),
  };
}

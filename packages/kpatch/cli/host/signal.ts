/** `kpatch signal`: signals the tasks that block the running transition. */

import type { Command } from 'commander';
import { plural } from '../../base/errors/plural.ts';
import { requireTransition } from '../../host/live/force.ts';
import { holdupLine } from '../../host/live/stall.ts';
import { scanTasks } from '../../host/live/tasks.ts';
import { currentHoldups, signalTasks } from '../../host/live/transition.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { type HostOptions, machineOf, withHostOptions } from './host-options.ts';

export function register(program: Command): void {
  const command = program.command('signal').description('signal the tasks that block the running transition');
  withHostOptions(command).action(action(run));
}

async function run(_: Context, options: HostOptions): Promise<Outcome> {
  const machine = machineOf(options);
  const patch = requireTransition(machine);
  const { remaining } = scanTasks(machine, patch.enabled ? 1 : 0);
  const { progress, holdups } = currentHoldups(machine, patch.name);
  const signalled = await signalTasks(machine, patch.name, remaining(Number.POSITIVE_INFINITY));
  const text = [
    `${patch.name}: ${progress.done} of ${progress.total} tasks had switched; signalled ${plural(signalled, 'task')}`,
    ...holdups.map((holdup) => `  ${holdupLine(holdup)}`),
  ];
  return {
    schema: 'kpatch.signal/1',
    data: { patch: patch.name, progress, holdups, signalled },
    text: text.join('\n'),
  };
}

/** `kpatch force`: ends a transition without waiting for the tasks that are left. */
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { printError } from '../../base/print.ts';
import { forceTransition, requireTransition } from '../../host/live/force.ts';
import { type Holdup, holdupLine } from '../../host/live/stall.ts';
import { withLock } from '../../host/machine/host-lock.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { type HostOptions, LOCK_WAIT_MS, machineOf, withHostOptions } from './host-options.ts';

const RISK = `A task that still runs the old code may meet data or locks of the new: the machine can crash, also later.
No patch module that takes part can be removed until the next boot. The kernel's own documentation asks for the
word of the patch's author before this is done.`;

export function register(program: Command): void {
  const command = program
    .command('force')
    .description('end the running transition although tasks are left: a risk, the last resort')
    .option('-y, --yes', 'do it without asking');
  withHostOptions(command).action(action(run));
}

async function run({ report, json }: Context, options: HostOptions & { yes?: boolean }): Promise<Outcome> {
  const machine = machineOf(options);
  requireTransition(machine);
  const confirm = async (patch: string, holdups: readonly Holdup[]): Promise<boolean> => {
    for (const holdup of holdups) report.note(holdupLine(holdup));
    return options.yes === true || confirmed(patch, json);
  };
  const result = await withLock(machine, report, LOCK_WAIT_MS, () => forceTransition(machine, confirm));
  const text = `the transition of ${result.patch} was forced; reboot when you can`;
  return { schema: 'kpatch.force/1', data: result, text };
}

async function confirmed(name: string, json: boolean): Promise<boolean> {
  if (json || !process.stdin.isTTY) return false;
  printError(`${RISK}\n`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(`Type the name of the patch (${name}) to force its transition: `);
  terminal.close();
  return answer.trim() === name;
}

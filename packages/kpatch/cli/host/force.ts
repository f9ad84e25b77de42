/** `kpatch force`: completes a transition without waiting for the remaining tasks. */
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { printError } from '../../base/print.ts';
import { forceTransition, requireTransition } from '../../host/live/force.ts';
import { type Holdup, holdupLine } from '../../host/live/stall.ts';
import { withLock } from '../../host/machine/host-lock.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { type HostOptions, LOCK_WAIT_MS, machineOf, withHostOptions } from './host-options.ts';

const RISK = `A task that still runs old code may meet data or locks of the new code: the machine can crash, even much later.
No livepatch module of this transition can be unloaded until the next boot. The kernel documentation
says to ask the author of the patch before forcing a transition.`;

export function register(program: Command): void {
  const command = program
    .command('force')
    .description('complete the running transition without waiting for tasks: dangerous, the last resort')
    .option('-y, --yes', 'do not ask for confirmation');
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
  const text = `The transition of ${result.patch} was forced. Reboot as soon as possible.`;
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

/** `kpatch force`: ends a transition without waiting for the tasks that are left. */
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { fail } from '../errors/error.ts';
import { withLock } from '../host/host-lock.ts';
import { journal } from '../host/journal.ts';
import { livepatchFolder } from '../host/livepatches.ts';
import { runningKernel } from '../host/running-kernel.ts';
import { holdupLine } from '../host/stall.ts';
import { currentHoldups, patchInTransition, watchTransition } from '../host/transition.ts';
import { action, type Context, type Outcome } from './command.ts';
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
  const patch = patchInTransition(machine);
  if (patch === undefined) throw fail('no-transition', {});
  if (!machine.isRoot) throw fail('not-root', {});
  const { name } = patch;
  const { progress, holdups } = currentHoldups(machine, name);
  for (const holdup of holdups) report.note(holdupLine(holdup));
  if (!options.yes && !(await confirmed(name, json))) throw fail('not-confirmed', { name });
  await withLock(machine, report, LOCK_WAIT_MS, async () => {
    const { ok, message } = machine.control.write(join(livepatchFolder(machine), name, 'force'), '1');
    const { ended } = await watchTransition(machine, name, { waitMs: 10_000 });
    if (!ended) throw fail('force-refused', { name, reason: ok ? 'its transition still runs' : message });
    const { release } = runningKernel(machine);
    const text = `the transition of ${name} was forced with ${progress.total - progress.done} tasks left`;
    await journal(machine, { outcome: 'forced', message: text, release, patch: name });
  });
  const text = `the transition of ${name} was forced; reboot when you can`;
  return { schema: 'kpatch.force/1', data: { patch: name, progress, holdups }, text };
}

async function confirmed(name: string, json: boolean): Promise<boolean> {
  if (json || !process.stdin.isTTY) return false;
  process.stderr.write(`${RISK}\n`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(`Type the name of the patch (${name}) to force its transition: `);
  terminal.close();
  return answer.trim() === name;
}

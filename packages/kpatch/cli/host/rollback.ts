/** `kpatch rollback`: goes back to the live patch that was active or installed before. */
import type { Command } from 'commander';
import { personAtWork } from '../../host/boot/boot.ts';
import { withLock } from '../../host/machine/host-lock.ts';
import { planRollback, rollBack, rollbackSteps } from '../../host/rollback.ts';
import { action, type Context, type Outcome } from '../command.ts';
import {
  LOCK_WAIT_MS,
  loadLines,
  loadOptions,
  machineOf,
  type TransitionOptions,
  withTransitionOptions,
} from './host-options.ts';

export function register(program: Command): void {
  const command = program
    .command('rollback')
    .description('go back to the live patch that was active or installed before')
    .addHelpText(
      'after',
      `
An installed patch goes back to the one that it replaced, and that is installed in its place; a patch that is only loaded goes
back to the installed one. The host policy, the boot guard and all checks of a load apply. A second rollback goes forward again.`,
    );
  withTransitionOptions(command).action(action(run));
}

async function run({ report }: Context, options: TransitionOptions): Promise<Outcome> {
  const machine = machineOf(options);
  const dryRun = options.dryRun ?? false;
  return await withLock(machine, report, LOCK_WAIT_MS, async () => {
    const plan = planRollback(machine);
    const steps = rollbackSteps(plan);
    const { from, to, installed, release } = plan;
    const data = { release, from, to: to.name, installed, steps, dryRun };
    const document = { schema: 'kpatch.rollback/1' } as const;
    if (dryRun) return { ...document, data, text: ['Would:', ...steps.map((step) => `  ${step}`)].join('\n') };
    report.note(`rollback of ${from}:`);
    for (const step of steps) report.note(`  ${step}`);
    await personAtWork(machine);
    const load = await rollBack(machine, plan, loadOptions(options), report);
    const text = [
      ...(load === undefined ? [] : loadLines(load)),
      ...(installed ? [`${to.name} is installed for ${release}`] : []),
    ];
    return {
      ...document,
      data,
      text: text.join('\n'),
      next: [{ run: 'kpatch status', what: 'see what is active now' }],
    };
  });
}

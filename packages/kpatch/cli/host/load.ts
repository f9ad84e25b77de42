/** `kpatch load`: loads a patch into the running kernel. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { failure, KpatchError } from '../../base/errors/error.ts';
import { printError } from '../../base/print.ts';
import type { Reporter } from '../../base/report.ts';
import { placeIn } from '../../fleet/paths.ts';
import { admit } from '../../host/acceptance/acceptance.ts';
import { type BootResult, incomplete, loadAll, markDown, markSurvived } from '../../host/boot/boot.ts';
import { requireFit } from '../../host/fit.ts';
import { fitOf, loadModule } from '../../host/live/load.ts';
import { withLock } from '../../host/machine/host-lock.ts';
import type { Machine } from '../../host/machine/machine.ts';
import { findModule } from '../../host/store/find.ts';
import { action, type Context, type NextStep, type Outcome } from '../command.ts';
import { shellWord } from '../shell-word.ts';
import {
  type AcceptOptions,
  acceptOptions,
  findingLines,
  LOCK_WAIT_MS,
  loadLines,
  loadOptions,
  machineOf,
  proofOptions,
  withLoadOptions,
} from './host-options.ts';

interface Options extends AcceptOptions {
  readonly all?: boolean;
  readonly boot?: boolean;
  readonly survived?: boolean;
  readonly down?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('load [PATCH]')
    .description('load a patch (a module file or an installed patch) into the running kernel')
    .option('-a, --all', 'load all patches installed for the running kernel')
    .option('--boot', 'with --all: load under the boot guard, as kpatch.service does')
    .option('--survived', 'tell the boot guard that the machine survived this boot')
    .option('--down', 'with --survived: and that it goes down in order');
  withLoadOptions(command).action(action(run));
}

async function run({ report }: Context, options: Options, patch?: string): Promise<Outcome> {
  const machine = machineOf(options);
  if (options.survived) {
    const cleared = await survived(machine, report, options.down === true ? markDown : markSurvived);
    return { schema: 'kpatch.survived/1', data: { cleared }, text: '' };
  }
  if (options.down) throw failure('usage', { problem: '--down needs --survived' });
  if (options.all === true && patch !== undefined)
    throw failure('usage', { problem: 'give a patch or --all, not both' });
  if (options.boot && !options.all) throw failure('usage', { problem: '--boot needs --all' });
  if (options.all) {
    if (options.proof !== undefined)
      throw failure('usage', {
        problem: '--proof cannot be combined with --all: each proof must be next to its module',
      });
    const lockMs = options.boot ? 60_000 : LOCK_WAIT_MS;
    const work = (): Promise<BootResult> =>
      loadAll(
        machine,
        {
          ...acceptOptions(options),
          guarded: options.boot ?? false,
          // A fleet compares hosts with and without a patch.
          watched: existsSync(placeIn(options.root).membership),
          dryRun: options.dryRun ?? false,
        },
        report,
      );
    return allOutcome(await withLock(machine, report, lockMs, work));
  }
  if (patch === undefined) throw failure('usage', { problem: 'give a patch or --all' });
  const module = findModule(machine, patch);
  if (options.dryRun) {
    for (const alarm of admit(machine, module, proofOptions(options)).alarms) report.warn(alarm);
    const findings = await fitOf(machine, module, loadOptions(options));
    requireFit(findings);
    const text = [`${module.name} can be loaded:`, ...findingLines(findings, true)].join('\n');
    return { schema: 'kpatch.load/1', data: { dryRun: true, name: module.name, findings }, text };
  }
  const result = await withLock(machine, report, LOCK_WAIT_MS, () =>
    loadModule(machine, module, acceptOptions(options), report),
  );
  return {
    schema: 'kpatch.load/1',
    data: result,
    text: loadLines(result).join('\n'),
    // The next steps are for the running machine, not for an image.
    next: options.root === undefined ? nextOf(patch, module.name) : [],
  };
}

/** What follows a load: a patch from a file is gone after a reboot, an installed one is not. */
function nextOf(patch: string, name: string): NextStep[] {
  return [
    { run: 'kpatch status', what: 'see what it does' },
    ...(existsSync(patch) ? [{ run: `kpatch install ${shellWord(patch)}`, what: 'load it at every boot' }] : []),
    { run: `kpatch unload ${shellWord(name)}`, what: 'take it out again' },
  ];
}

/**
 * Takes the lock, because other commands write the boot guard too. A command that holds the lock for long is in a transition
 * and has already written it, and a shutdown must not wait; so the guard is cleared without the lock then.
 */
async function survived(
  machine: Machine,
  report: Reporter,
  mark: (machine: Machine) => Promise<boolean>,
): Promise<boolean> {
  try {
    return await withLock(machine, report, LOCK_WAIT_MS, () => mark(machine));
  } catch (error) {
    if (error instanceof KpatchError && error.code === 'locked') return mark(machine);
    throw error;
  }
}

function allOutcome(result: BootResult): Outcome {
  const { loads, failures, blocked, release } = result;
  const text = [
    ...loads.flatMap(loadLines),
    ...(loads.length + failures.length + blocked.length === 0 && !result.disabled
      ? [`no patch is installed for ${release}`]
      : []),
  ].join('\n');
  if (failures.length === 0) return { schema: 'kpatch.load-all/1', data: { ...result, failures: [] }, text };
  if (text !== '') printError(`${text}\n`);
  throw incomplete(result);
}

/** `kpatch unload`: removes a patch from the running kernel. */
import type { Command } from 'commander';
import { failure } from '../../base/errors/error.ts';
import { type LoadedPatch, loadedPatch, loadedPatches } from '../../host/live/livepatches.ts';
import { readRecord } from '../../host/live/loaded-record.ts';
import { type UnloadResult, unloadPatch } from '../../host/live/unload.ts';
import { withLock } from '../../host/machine/host-lock.ts';
import type { Machine } from '../../host/machine/machine.ts';
import { moduleNameOf } from '../../host/store/module-file.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { LOCK_WAIT_MS, loadOptions, machineOf, type TransitionOptions, withTransitionOptions } from './host-options.ts';

export function register(program: Command): void {
  const command = program
    .command('unload [PATCH]')
    .description('disable a patch and remove it from the running kernel; it stays installed')
    .option('-a, --all', 'unload all patches');
  withTransitionOptions(command).action(action(run));
}

async function run(
  { report }: Context,
  options: TransitionOptions & { all?: boolean },
  patch?: string,
): Promise<Outcome> {
  const machine = machineOf(options);
  if ((options.all === true) === (patch !== undefined)) {
    throw failure('usage', { problem: options.all ? 'give a patch or --all, not both' : 'give a patch or --all' });
  }
  const wanted = options.all ? orderOfUnloading(machine) : [moduleNameOf(patch ?? '')];
  if (options.dryRun) {
    for (const name of wanted) if (loadedPatch(machine, name) === undefined) throw failure('not-loaded', { name });
    return outcome(
      wanted.map((name) => ({ name, seconds: 0 })),
      'would be unloaded',
    );
  }
  const done = await withLock(machine, report, LOCK_WAIT_MS, async () => {
    const results: UnloadResult[] = [];
    for (const name of wanted) results.push(await unloadPatch(machine, name, loadOptions(options), report));
    return results;
  });
  return outcome(done, 'was unloaded');
}

/**
 * The kernel starts no transition while another is running, so a patch in transition comes first. Kernels before 5.1 can only
 * disable the patch that was enabled last; later ones allow any order.
 */
function orderOfUnloading(machine: Machine): string[] {
  const key = ({ name, transition }: LoadedPatch): string => {
    return `${transition ? 1 : 0} ${readRecord(machine, name)?.loaded ?? ''}`;
  };
  return loadedPatches(machine)
    .sort((a, b) => (key(a) < key(b) ? 1 : -1))
    .map(({ name }) => name);
}

function outcome(patches: readonly UnloadResult[], what: string): Outcome {
  const lines = patches.map(({ name, seconds }) => `${name} ${what}${seconds > 0 ? ` (${seconds.toFixed(1)} s)` : ''}`);
  const text = lines.join('\n') || 'no patch is loaded';
  return { exit: patches.length === 0 ? 3 : 0, schema: 'kpatch.unload/1', data: { patches }, text };
}

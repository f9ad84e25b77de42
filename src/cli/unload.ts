/** `kpatch unload`: a patch out of the running kernel. */
import type { Command } from 'commander';
import { fail } from '../errors/error.ts';
import { withLock } from '../host/host-lock.ts';
import { loadedPatch, loadedPatches } from '../host/livepatches.ts';
import { moduleNameOf } from '../host/module-file.ts';
import { type UnloadResult, unloadPatch } from '../host/unload.ts';
import { action, type Context, type Outcome } from './command.ts';
import {
  LOCK_WAIT_MS,
  loadOptions,
  machineOf,
  type TransitionOptions,
  withHostOptions,
  withTransitionOptions,
} from './host-options.ts';

export function register(program: Command): void {
  const command = program
    .command('unload [PATCH]')
    .description('switch a patch off and remove it from the running kernel; it stays installed')
    .option('-a, --all', 'unload every patch');
  withHostOptions(withTransitionOptions(command)).action(action(run));
}

async function run(
  { report }: Context,
  options: TransitionOptions & { all?: boolean },
  patch?: string,
): Promise<Outcome> {
  const machine = machineOf(options);
  if ((options.all === true) === (patch !== undefined)) {
    throw fail('usage', { problem: options.all ? 'give a patch or --all, not both' : 'no patch is given, nor --all' });
  }
  // The patch that came last lies on top, and must go first; sysfs does not tell the order, but the kernel refuses another.
  const wanted = options.all ? loadedPatches(machine).map(({ name }) => name) : [moduleNameOf(patch ?? '')];
  if (options.dryRun) {
    for (const name of wanted) if (loadedPatch(machine, name) === undefined) throw fail('not-loaded', { name });
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

function outcome(patches: readonly UnloadResult[], what: string): Outcome {
  const lines = patches.map(({ name, seconds }) => `${name} ${what}${seconds > 0 ? ` (${seconds.toFixed(1)} s)` : ''}`);
  return { schema: 'kpatch.unload/1', data: { patches }, text: lines.join('\n') || 'no patch is loaded' };
}

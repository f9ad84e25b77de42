/** `kpatch uninstall`: stops loading a patch at boot. */
import type { Command } from 'commander';
import { personAtWork } from '../../host/boot/boot.ts';
import { loadedPatch } from '../../host/live/livepatches.ts';
import { withLock } from '../../host/machine/host-lock.ts';
import { uninstallPatch } from '../../host/store/install.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { type HostOptions, LOCK_WAIT_MS, machineOf, withHostOptions } from './host-options.ts';

interface Options extends HostOptions {
  readonly kernelVersion?: string;
  readonly dryRun?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('uninstall <PATCH>')
    .description('stop loading a patch at boot; it stays in the running kernel until it is unloaded')
    .option('-k, --kernel-version <release>', 'uninstall it for this kernel instead of the running one')
    .option('-n, --dry-run', 'print what would be done, but change nothing');
  withHostOptions(command).action(action(run));
}

async function run({ report }: Context, options: Options, name: string): Promise<Outcome> {
  const machine = machineOf(options);
  const dryRun = options.dryRun ?? false;
  const choice = { ...(options.kernelVersion === undefined ? {} : { release: options.kernelVersion }), dryRun };
  const patch = await withLock(machine, report, LOCK_WAIT_MS, async () => {
    if (!dryRun) await personAtWork(machine);
    return uninstallPatch(machine, name, choice, report);
  });
  const text = [`${patch.name} ${dryRun ? 'would be' : 'was'} uninstalled for ${patch.release}`];
  if (!dryRun && loadedPatch(machine, patch.name) !== undefined) {
    text.push(`it is still loaded; 'kpatch unload ${patch.name}' removes it from the running kernel`);
  }
  return {
    schema: 'kpatch.uninstall/1',
    data: { name: patch.name, release: patch.release, dryRun },
    text: text.join('\n'),
  };
}

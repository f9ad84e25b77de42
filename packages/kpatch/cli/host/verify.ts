/** `kpatch verify`: checks that installed, recorded and active patches are consistent. */
import type { Command } from 'commander';
import { withLock } from '../../host/machine/host-lock.ts';
import { rebuildIndex, recover, releasesIn } from '../../host/store/store.ts';
import { verify } from '../../host/verify.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { type HostOptions, LOCK_WAIT_MS, machineOf, withHostOptions } from './host-options.ts';

export function register(program: Command): void {
  const command = program
    .command('verify')
    .description('check that installed modules are unchanged and match the active patches')
    .option('--repair', 'rebuild a damaged index from the installed modules, and finish interrupted changes');
  withHostOptions(command).action(action(run));
}

async function run({ report }: Context, options: HostOptions & { repair?: boolean }): Promise<Outcome> {
  const machine = machineOf(options);
  if (options.repair) {
    await withLock(machine, report, LOCK_WAIT_MS, async () => {
      for (const release of releasesIn(machine)) {
        rebuildIndex(machine, release);
        recover(machine, release);
      }
    });
  }
  const mismatches = verify(machine);
  const text = mismatches.map(
    ({ patch, release, problem, fix }) => `${patch ?? 'store'} (${release}): ${problem}\n  do: ${fix}`,
  );
  return {
    exit: mismatches.length === 0 ? 0 : 1,
    schema: 'kpatch.verify/1',
    data: { mismatches },
    text: mismatches.length === 0 ? 'Consistent.' : text.join('\n'),
  };
}

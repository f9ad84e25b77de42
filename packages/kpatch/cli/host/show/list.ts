/** `kpatch list`: lists loaded and installed patches, in a format that other programs parse. */
import type { Command } from 'commander';
import { functionsOf, type LoadedPatch, loadedPatches, stateOf } from '../../../host/live/livepatches.ts';
import { installedEverywhere } from '../../../host/store/store.ts';
import { action, type Context, type Outcome } from '../../command.ts';
import { type HostOptions, machineOf, withHostOptions } from '../host-options.ts';

export function register(program: Command): void {
  const command = program
    .command('list')
    .description('list loaded and installed patches')
    .option('-f, --functions', 'also list the livepatched functions');
  withHostOptions(command).action(action(run));
}

function run(_: Context, options: HostOptions & { functions?: boolean }): Outcome {
  const machine = machineOf(options);
  const loaded = loadedPatches(machine);
  const installed = installedEverywhere(machine);
  // Cockpit, Insights and sos parse exactly these two paragraphs, separated by an empty line.
  const lines = [
    'Loaded patch modules:',
    ...loaded.map((patch) => `${patch.name} [${stateText(patch)}]`),
    '',
    'Installed patch modules:',
    ...installed.map(({ name, release }) => `${name} (${release})`),
  ];
  if (options.functions) {
    lines.push('', 'Livepatched functions:');
    for (const patch of loaded) {
      for (const { name, object, sympos } of functionsOf(patch)) {
        lines.push(`${name}${sympos > 1 ? `,${sympos}` : ''} (${object}) [${patch.name}]`);
      }
    }
  }
  const data = {
    loaded: loaded.map((patch) => ({ ...patch, state: stateOf(patch) })),
    installed: installed.map(({ name, release, file, installed: at }) => ({
      name,
      release,
      file,
      installed: at ?? null,
    })),
  };
  return { schema: 'kpatch.list/1', data, text: lines.join('\n') };
}

function stateText(patch: LoadedPatch): string {
  const state = stateOf(patch);
  return patch.transition ? `${state}...` : state;
}

/** `kpatch list`: what is loaded and what is installed, in the lines that other programs read. */
import type { Command } from 'commander';
import { functionsOf, type LoadedPatch, loadedPatches, stateOf } from '../../host/live/livepatches.ts';
import { installedEverywhere } from '../../host/store/store.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { type HostOptions, machineOf, withHostOptions } from './host-options.ts';

export function register(program: Command): void {
  const command = program
    .command('list')
    .description('loaded and installed patches')
    .option('-f, --functions', 'also the functions that are livepatched');
  withHostOptions(command).action(action(run));
}

function run(_: Context, options: HostOptions & { functions?: boolean }): Outcome {
  const machine = machineOf(options);
  const loaded = loadedPatches(machine);
  const installed = installedEverywhere(machine);
  // Cockpit, Insights and sos read exactly these two paragraphs, with one empty line between them.
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

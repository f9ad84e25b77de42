/** `kpatch install`: loads a patch now and at every boot. */
import { statSync } from 'node:fs';
import type { Command } from 'commander';
import { failure } from '../../base/errors/error.ts';
import { personAtWork } from '../../host/boot/boot.ts';
import { withLock } from '../../host/machine/host-lock.ts';
import { type InstallOptions, installAgain, installModule } from '../../host/store/install.ts';
import { readModuleFile } from '../../host/store/module-file.ts';
import { action, type Context, type NextStep, type Outcome } from '../command.ts';
import { shellWord } from '../shell-word.ts';
import {
  type AcceptOptions,
  acceptOptions,
  LOCK_WAIT_MS,
  loadLines,
  machineOf,
  withLoadOptions,
} from './host-options.ts';

interface Options extends AcceptOptions {
  readonly kernelVersion?: string;
  readonly load: boolean;
  readonly again?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command('install [FILE]')
    .description('load a patch now and at every boot of its kernel')
    .option('-k, --kernel-version <release>', 'install for this kernel instead of the running one')
    .option('--no-load', 'do not load it now, only at the next boot')
    .option('--again', 'unblock patches that the boot guard blocked (all, or the given one)');
  withLoadOptions(command).action(action(run));
}

/** A file that is there; a name with --again means an installed patch. */
function isFile(file: string | undefined): file is string {
  return file !== undefined && statSync(file, { throwIfNoEntry: false })?.isFile() === true;
}

async function run({ report }: Context, options: Options, file?: string): Promise<Outcome> {
  const machine = machineOf(options);
  const install: InstallOptions = {
    ...acceptOptions(options),
    ...(options.kernelVersion === undefined ? {} : { release: options.kernelVersion }),
    load: options.load,
    dryRun: options.dryRun ?? false,
    again: options.again ?? false,
  };
  if (options.again && !isFile(file)) {
    const { freed, loads } = await withLock(machine, report, LOCK_WAIT_MS, () =>
      installAgain(machine, file, install, report),
    );
    const done = options.dryRun ? 'would no longer be blocked' : 'is no longer blocked';
    const text = [...freed.map((name) => `${name} ${done}`), ...loads.flatMap(loadLines)].join('\n');
    return { schema: 'kpatch.install-again/1', data: { freed, loads }, text };
  }
  if (file === undefined) throw failure('usage', { problem: 'give a patch file' });
  // Read the file once: the checked module is the one that is installed.
  const module = readModuleFile(file);
  const result = await withLock(machine, report, LOCK_WAIT_MS, async () => {
    if (!options.dryRun) await personAtWork(machine);
    return installModule(machine, module, install, report);
  });
  const { name, release, replaced, load } = result;
  const done = options.dryRun ? 'would be installed' : 'is installed';
  const text = [`${name} ${done} for ${release}`, ...(load === undefined ? [] : loadLines(load))];
  if (options.dryRun) text.push(...replaced.map((old) => `it would replace ${old}`));
  const next = options.dryRun || options.root !== undefined ? [] : nextOf(name, load !== undefined);
  return {
    schema: 'kpatch.install/1',
    data: { ...result, dryRun: options.dryRun ?? false },
    text: text.join('\n'),
    next,
  };
}

function nextOf(name: string, loaded: boolean): NextStep[] {
  const word = shellWord(name);
  return [
    loaded
      ? { run: 'kpatch status', what: 'see what it does' }
      : { run: `kpatch load ${word}`, what: 'load it now, on the kernel that it is for' },
    { run: `kpatch uninstall ${word}`, what: 'no longer load it at boot' },
  ];
}

/** `kpatch package`: builds a `.deb` and an `.rpm` for each livepatch module. */
import { mkdirSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { readSources } from '../../advisory/sources.ts';
import { failure } from '../../base/errors/error.ts';
import { buildLivePatch } from '../../channel/package/livepatch.ts';
import { emptyRecord, recordOf, versionText } from '../../channel/package/record.ts';
import { isRelease, readPatchModule } from '../../channel/patch-module.ts';
import { machineNameHere } from '../../platform/registry.ts';
import { action, type Context, type NextStep, type Outcome } from '../command.ts';
import { shellWord } from '../shell-word.ts';

interface Options {
  readonly release: string;
  readonly output: string;
  readonly format?: 'deb' | 'rpm';
  readonly advisories?: string[];
  readonly empty?: string;
  readonly arch?: string;
}

export function register(program: Command): void {
  program
    .command('package [MODULE...]')
    .description('build a .deb and an .rpm for each livepatch module')
    .option(
      '-r, --release <number>',
      'release of the package; increase it when you package the same version again',
      '1',
    )
    .option('-o, --output <folder>', 'folder to write the packages to', '.')
    .addOption(new Option('--format <format>', 'build only this one (default: both)').choices(['deb', 'rpm']))
    .option('--advisories <file...>', 'advisories to read titles and severities of CVEs from')
    .option('--empty <kernel>', 'build the empty package that subscribes a kernel before it has a patch')
    .option('--arch <arch>', 'architecture of the empty package, as `uname -m` prints it (default: this machine)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nIf MODULE.proof.json and MODULE.provenance.json are next to the module, the package includes them.',
    )
    .action(action(run));
}

async function run({ report }: Context, options: Options, modules: string[] = []): Promise<Outcome> {
  const usage = (problem: string): Error => failure('usage', { problem });
  const release = Number(options.release);
  if (!Number.isInteger(release) || release < 1 || release > 99_999) throw usage('--release needs a positive integer');
  const { format, empty } = options;
  if (modules.length === 0 && empty === undefined) throw usage('give a module or --empty KERNEL');
  if (empty !== undefined && !isRelease(empty)) throw usage(`'${empty}' is not a kernel release`);
  const formats = format === undefined ? (['deb', 'rpm'] as const) : [format];
  const { advisories } = readSources(options.advisories ?? []);
  const read = modules.map((file) => readPatchModule(file));
  mkdirSync(options.output, { recursive: true });
  const packages: { kernel: string; version: string; deb?: string; rpm?: string }[] = [];
  const lines: string[] = [];
  const add = (kernel: string, version: string, made: { deb?: string; rpm?: string }): void => {
    packages.push({ kernel, version, ...made });
    lines.push(...Object.values(made));
  };
  for (const module of read) {
    const { release: kernel } = module.manifest;
    const record = recordOf(module, release, advisories);
    if (module.proof === undefined) report.warn(`${module.file}: no proof next to it`);
    const made = await report.stage(`package for ${kernel}`, () =>
      buildLivePatch(record, module, options.output, formats),
    );
    add(kernel, versionText(record), made);
  }
  if (empty !== undefined) {
    add(
      empty,
      '0-0',
      await buildLivePatch(emptyRecord(empty, options.arch ?? machineNameHere()), undefined, options.output, formats),
    );
  }
  const [first] = lines;
  const next =
    first === undefined
      ? []
      : [installStep(first), { run: 'kpatch channel init FOLDER', what: 'publish it to many machines' }];
  return { schema: 'kpatch.package/1', data: { packages }, text: lines.join('\n'), next };
}

function installStep(file: string): NextStep {
  const word = shellWord(file.includes('/') ? file : `./${file}`);
  const manager = file.endsWith('.deb') ? 'apt' : 'dnf';
  return { run: `${manager} install ${word}`, what: 'on a machine with that kernel: install and load it' };
}

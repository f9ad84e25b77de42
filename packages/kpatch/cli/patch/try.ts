/** `kpatch try PATCH|MODULE`: a shell in a virtual machine that runs the patched kernel. */
import { basename, join } from 'node:path';
import type { Command } from 'commander';
import { failure } from '../../base/errors/error.ts';
import { plural } from '../../base/errors/plural.ts';
import { temporaryFolder, writeAtomically } from '../../base/files.ts';
import { print, printErrorLines } from '../../base/print.ts';
import type { Reporter } from '../../base/report.ts';
import { line, span } from '../../base/text/terminal.ts';
import { cacheRoot } from '../../base/workspace.ts';
import { holdKernel, kernelOfModule } from '../../prepare/kernel.ts';
import { requireLivepatch } from '../../prepare/livepatch-support.ts';
import { kernelNamed, readSubject, type Subject } from '../../prove/input/subject.ts';
import { FOLDER, startTrial, type Trial, wasEnded } from '../../prove/trial.ts';
import { obtainPatches } from '../../source/origin/obtain.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { type KernelSourceOptions, kernelSource, withKernelSource } from '../kernel/kernel-options.ts';
import { targetOf } from '../kernel/target.ts';

interface Options extends KernelSourceOptions {
  readonly kernel?: string;
  readonly command?: string;
  readonly load: boolean;
  readonly module: readonly string[];
  readonly memory?: string;
}

const collect = (value: string, before: readonly string[]): string[] => [...before, value];

export function register(program: Command): void {
  const command = program
    .command('try')
    .summary('open a shell in a virtual machine that runs the patched kernel')
    .description(
      'Boots the target kernel in a virtual machine, loads the patch, and opens a shell there. Nothing is changed on this machine.',
    )
    .argument('<patch...>', 'a livepatch module (.ko), or source patches, which are built first')
    .option('-k, --kernel <release>', 'kernel to build source patches for (default: the running one)')
    .option('-c, --command <script>', 'run this in the guest instead of a shell, and end with its status')
    .option('--no-load', 'do not load the patch; kpatch load in the guest does it')
    .option('-m, --module <name>', 'bring this kernel module into the guest, for modprobe (repeatable)', collect, [])
    .option('--memory <MiB>', 'memory of the guest (default: 512)')
    .option('--json', 'print JSON; needs --command')
    .addHelpText(
      'after',
      `
In the guest, ${FOLDER} is the current folder, read-only: files that everybody can read. kpatch load, unload and list work there.
The shell ends with exit; Ctrl-] cuts the power of a guest that hangs.`,
    );
  withKernelSource(command).action(action<Options, [string[]]>(run));
}

async function run(context: Context, options: Options, given: readonly string[]): Promise<Outcome> {
  const { report, json } = context;
  const interactive = options.command === undefined;
  if (interactive && (json || process.stdin.isTTY !== true || process.stdout.isTTY !== true))
    throw failure('usage', { problem: 'a shell needs a terminal; --command SCRIPT needs none' });
  const memoryMiB = memoryOf(options.memory);
  using built = temporaryFolder('kpatch-try-');
  const subject = await subjectOf(context, options, given, built.path);
  const kernel = await kernelOfModule(kernelNamed(subject), { ...kernelSource(options), report });
  requireLivepatch(kernel);
  using _held = await holdKernel(kernel);
  const { release, paths } = kernel;
  const started = performance.now();
  await using trial = await report.stage('start the virtual machine', () =>
    startTrial({
      subject,
      kernel: { release, image: paths.image, modules: paths.modules },
      folder: process.cwd(),
      modules: options.module,
      guests: join(cacheRoot(), 'guests'),
      memoryMiB,
      load: options.load,
      onNote: (text) => report.note(text),
    }),
  );
  const startMs = Math.round(performance.now() - started);
  const facts = { release, patch: subject.name, loaded: options.load, startMs, shared: trial.shared };
  if (options.command === undefined) {
    const status = await shell(trial, subject, release);
    return { exit: 0, schema: 'kpatch.try/1', data: { ...facts, status, output: '' }, text: '' };
  }
  const { status, output } = await trial.guest.run(`cd ${trial.shared ? FOLDER : '/root'}\n${options.command}`, {
    deadlineMs: COMMAND_MS,
    ...(json ? {} : { onOutput: print }),
  });
  return { exit: status === 0 ? 0 : 1, schema: 'kpatch.try/1', data: { ...facts, status, output }, text: '' };
}

/** A command that takes longer is ended with its guest. */
const COMMAND_MS = 3_600_000;

async function shell(trial: Trial, subject: Subject, release: string): Promise<number> {
  const folder = trial.shared
    ? `${FOLDER} is this folder (read-only). `
    : 'This kernel cannot show a folder of the host. ';
  printErrorLines([
    line([]),
    line([span('strong', `Linux ${release} in a virtual machine`), trial.loaded === '' ? '' : `: ${trial.loaded}`]),
    ...(subject.functions ?? []).slice(0, 5).map(({ name, object }) => line([span('quiet', `  ${name} (${object})`)])),
    ...more(subject.functions?.length ?? 0),
    line([
      `${folder}Try: `,
      span('command', `kpatch unload`),
      ', ',
      span('command', 'kpatch load'),
      ', ',
      span('command', 'kpatch list'),
    ]),
    line(['Leave with ', span('command', 'exit'), '; Ctrl-] cuts the power.']),
  ]);
  try {
    return await trial.shell({ input: process.stdin, output: process.stdout });
  } catch (error) {
    if (!wasEnded(error)) throw error;
    print('\n');
    return 0;
  }
}

function more(functions: number) {
  return functions <= 5 ? [] : [line([span('quiet', `  and ${plural(functions - 5, 'function')} more`)])];
}

/** The module: given, or built from source patches. */
async function subjectOf(
  { report, json }: Context,
  options: Options,
  given: readonly string[],
  folder: string,
): Promise<Subject> {
  if (given.length === 1 && given[0]!.endsWith('.ko')) {
    const subject = readSubject(given[0]!);
    const { kernel = subject.release } = options;
    if (kernel === subject.release) return subject;
    const params = { file: given[0]!, built: subject.release, wanted: kernel };
    throw failure('prove-other-kernel', params, { where: { file: given[0]! } });
  }
  if (given.some((file) => file.endsWith('.ko')))
    throw failure('usage', { problem: 'give one module (.ko), or source patches' });
  const source = kernelSource(options);
  const wanted = options.kernel === undefined ? {} : { given: options.kernel };
  const release = await targetOf({ kernelSource: source, report, json, ...wanted });
  const { files, cves } = await obtainPatches({
    names: given,
    folder,
    cache: join(cacheRoot(), 'git'),
    release: () => release,
    note: (text) => report.note(text),
  });
  return await builtSubject(files, cves, release, source, folder, report);
}

async function builtSubject(
  patches: readonly string[],
  cves: readonly string[],
  release: string | undefined,
  source: ReturnType<typeof kernelSource>,
  folder: string,
  report: Reporter,
): Promise<Subject> {
  const { build } = await import('../../builder/build.ts');
  const plain = { cves, replace: true, skipCompilerCheck: false, keepLineChanges: false };
  const target = release === undefined ? {} : { release };
  const result = await build({ patches, kernelSource: source, ...target, ...plain }, report);
  const file = join(folder, `${result.name}.ko`);
  writeAtomically(file, result.module);
  report.note(`built ${basename(file)}: ${plural(result.functions.length, 'function')}`);
  return readSubject(file);
}

function memoryOf(text: string | undefined): number {
  const value = Number(text ?? 512);
  if (Number.isSafeInteger(value) && value >= 128 && value <= 1_048_576) return value;
  throw failure('usage', { problem: `--memory needs a number of MiB from 128, not '${text}'` });
}

/** `kpatch prove`: tests a livepatch module in virtual machines and writes a proof. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { failure } from '../../base/errors/error.ts';
import { temporaryFolder, writeAtomically } from '../../base/files.ts';
import { print } from '../../base/print.ts';
import { consoleReporter, type Reporter, silentReporter } from '../../base/report.ts';
import { cacheRoot, useSandbox } from '../../base/workspace.ts';
import type { ElfObject } from '../../formats/elf/object.ts';
import { readObject } from '../../formats/elf/read-object.ts';
import { type Proof, signProof } from '../../module/proof.ts';
import { proofPath } from '../../module/proof-path.ts';
import { readPrivateKey } from '../../module/signing-key.ts';
import type { ReplacedFunction } from '../../module/tables.ts';
import { KernelFacts } from '../../prepare/facts.ts';
import { holdKernel, kernelOfModule } from '../../prepare/kernel.ts';
import { requireLivepatch } from '../../prepare/livepatch-support.ts';
import { programFor } from '../../prove/input/own-program.ts';
import { kernelNamed, readSubject, type Subject } from '../../prove/input/subject.ts';
import { readTestScript, type TestScript } from '../../prove/input/test-script.ts';
import { readUserCheck, type UserCheck } from '../../prove/input/user-check.ts';
import { liveView } from '../../prove/live-view.ts';
import { allProven, type Cell, matrixText, runMatrix, succeeds } from '../../prove/matrix.ts';
import { onlyChecks, plans, withUserChecks } from '../../prove/plans.ts';
import { prove } from '../../prove/proof.ts';
import { proofText } from '../../prove/proof-text.ts';
import { type CodeSources, readSourcePatch, reportFacts, type ShownPatch } from '../../prove/report/facts.ts';
import { functionsIn } from '../../prove/report/functions.ts';
import { reportPage } from '../../prove/report/page.ts';
import type { Plan, ProofKernel } from '../../prove/run/check.ts';
import type { ProofEvent } from '../../prove/run/event.ts';
import { seal } from '../../provenance/envelope.ts';
import { testResultPath } from '../../provenance/statement.ts';
import { testResultOf } from '../../provenance/test-result.ts';
import { machineFor } from '../../vm/qemu/emulator.ts';
import { type NextStep, printFailure, printNext } from '../command.ts';
import { type KernelSourceOptions, kernelSource, withKernelSource } from '../kernel/kernel-options.ts';
import { shellWord } from '../shell-word.ts';
import { type JsonStream, jsonStream } from './json-stream.ts';

interface Options extends KernelSourceOptions {
  readonly sandbox: boolean;
  readonly kernel: readonly string[];
  readonly kernels?: string;
  readonly test?: string;
  readonly full?: boolean;
  readonly cold?: boolean;
  readonly resume: boolean;
  readonly allowExceptions?: boolean;
  readonly check: readonly string[];
  readonly with: readonly string[];
  readonly from: readonly string[];
  readonly patch: readonly string[];
  readonly proof: string | boolean;
  readonly key?: string;
  readonly report?: string;
  readonly json?: boolean;
}

const collect = (value: string, before: readonly string[]): string[] => [...before, value];

export function register(program: Command): void {
  const command = program
    .command('prove')
    .summary('test a livepatch module in virtual machines and write a proof')
    .description(
      'Runs a plan of checks on the kernel that the module was built for and prints a verdict with its evidence. ' +
        'Proves several modules, or source patches for several --kernel, in parallel.',
    )
    .argument(
      '<module...>',
      'livepatch modules (.ko), each for its own kernel; or source patches, which are built first',
    )
    .option('-k, --kernel <release>', 'kernel to prove it on (repeatable with source patches)', collect, [])
    .option('--kernels <file>', 'file with kernel releases, one per line')
    .option(
      '--test <script>',
      'shell script that tests the fix; runs before, with and after the patch (may name modules and files)',
    )
    .option('--full', 'full plan: also under load, cycles, memory errors, the boot path (takes minutes)')
    .option('--cold', 'boot every virtual machine instead of resuming a kept one')
    .option('--no-resume', 'run every boot, even if an interrupted run of the same proof finished it')
    .option('--allow-exceptions', 'succeed also if modules without their hardware could not be run ("proven except")')
    .option('--check <name>', 'run only this check and those it depends on (repeatable)', collect, [])
    .option('--with <file>', 'your own check: a shell or TypeScript file (repeatable)', collect, [])
    .option('--from <module>', 'previous patch: test the upgrade from it, and back (repeatable)', collect, [])
    .option('--patch <file>', 'source patch of the module, to show in the report (repeatable)', collect, [])
    .option('--proof <file>', 'write the proof to this file (default: MODULE.proof.json next to the module)')
    .option('--no-proof', 'do not write a proof')
    .option('--key <file>', 'private key (PEM) to sign the proof with')
    .option('--report <file>', 'write an HTML report of the proof')
    .option('--no-sandbox', 'run programs on patches and packages with all your rights (dangerous)')
    .option('--json', 'print JSON as a stream: all events, then the proof');
  withKernelSource(command).action(async (modules: string[], options: Options) => {
    if (!options.sandbox) useSandbox(false);
    const stream = options.json === true ? jsonStream('kpatch.prove/1', process.stdout) : undefined;
    try {
      using built = temporaryFolder('kpatch-prove-');
      await run(modules, options, built.path, stream);
    } catch (error) {
      if (stream?.begun === true) stream.endWithError(error);
      else printFailure(error, options.json === true);
    }
  });
}

/** One module with its kernel and, if known, its source patches. */
interface Job {
  readonly label: string;
  readonly file: string;
  readonly sources: readonly string[];
}

async function run(given: readonly string[], options: Options, built: string, stream?: JsonStream): Promise<void> {
  const report = stream === undefined ? consoleReporter() : silentReporter();
  const common: Common = {
    options,
    report,
    test: options.test === undefined ? undefined : readTestScript(options.test),
    userChecks: await Promise.all(options.with.map(readUserCheck)),
    command: commandLine(given, options),
    guests: 1,
  };
  planOf(common);
  const jobs = await jobsOf(given, options, built, report);
  if (jobs.length === 1) {
    const [job] = jobs;
    const proof = await proveOne(job!, { ...common, guests: availableParallelism() }, viewOf(stream));
    process.exitCode = succeeds(proof, options.allowExceptions) ? 0 : 1;
    if (stream === undefined) {
      print(proofText(proof));
      printNext(nextOf(proof, job!, given, options));
    } else stream.end({ warnings: report.warnings, proof });
    return;
  }
  if (typeof options.proof === 'string' || options.report !== undefined) {
    throw failure('usage', { problem: '--proof FILE and --report work only for one module on one kernel' });
  }
  const one = async (job: Job): Promise<Proof> => {
    try {
      return await proveOne(job, common, viewOf(stream, job.label));
    } catch (error) {
      // The other proofs may run for long, so report now why this one failed.
      report.warn(`${job.label}: ${error instanceof Error ? error.message : String(error)}`);
      throw error;
    }
  };
  const cells = await runMatrix(jobs.map((job) => ({ label: job.label, run: () => one(job) })));
  process.exitCode = allProven(cells, options.allowExceptions) ? 0 : 1;
  if (stream === undefined) print(`\n${matrixText(cells)}`);
  else
    stream.end({
      warnings: report.warnings,
      proofs: cells.map(({ label, proof, error }: Cell) => ({ label, proof: proof ?? null, error: error ?? null })),
    });
}

/** What follows a proof: to install what is proven, to look closer at what is not. */
function nextOf(proof: Proof, { file }: Job, given: readonly string[], options: Options): NextStep[] {
  const words = given.map(shellWord).join(' ');
  if (proof.verdict === 'not proven') {
    return options.report === undefined
      ? [{ run: `kpatch prove ${words} --report report.html`, what: 'see each check with its evidence' }]
      : [];
  }
  // A module that was built for this proof only is gone.
  const module = given.length === 1 && given[0] === file ? shellWord(file) : undefined;
  if (module === undefined) return [{ run: `kpatch build ${words}`, what: 'write the module' }];
  return [
    ...(options.full ? [] : [{ run: `kpatch prove --full ${module}`, what: 'more checks, for some minutes' }]),
    { run: `kpatch install ${module}`, what: `on ${proof.kernel.release}: load it now and at every boot` },
    { run: `kpatch package ${module}`, what: 'packages for other machines (.deb, .rpm)' },
  ];
}

interface Common {
  readonly options: Options;
  readonly report: Reporter;
  readonly test: TestScript | undefined;
  readonly userChecks: readonly UserCheck[];
  readonly command: string;
  /** Number of boots of one proof that run at once: one if several proofs run in parallel. */
  readonly guests: number;
}

interface View {
  readonly onEvent: (event: ProofEvent) => void;
  close(): void;
}

function viewOf(stream: JsonStream | undefined, label = ''): View {
  if (stream === undefined) return liveView(process.stderr, label);
  return {
    onEvent: (event) => stream.event(label === '' ? event : { ...event, on: label }),
    close() {},
  };
}

async function jobsOf(given: readonly string[], options: Options, built: string, report: Reporter): Promise<Job[]> {
  const releases = [...options.kernel, ...(options.kernels === undefined ? [] : releasesIn(options.kernels))];
  const modules = given.filter((file) => file.endsWith('.ko'));
  if (modules.length === given.length) {
    return modules.map((file) => {
      const { release } = readSubject(file);
      if (releases.length > 0 && !releases.includes(release)) {
        throw failure('prove-other-kernel', { file, built: release, wanted: releases.join(', ') }, { where: { file } });
      }
      return { label: modules.length > 1 ? `${release} ${basename(file)}` : release, file, sources: options.patch };
    });
  }
  if (modules.length > 0) throw failure('usage', { problem: 'give modules (.ko) or source patches, not both' });
  const { build } = await import('../../builder/build.ts');
  const jobs: Job[] = [];
  for (const release of releases.length === 0 ? [undefined] : [...new Set(releases)]) {
    const settings = {
      kernelSource: kernelSource(options),
      cves: [],
      replace: true,
      skipCompilerCheck: false,
      keepLineChanges: false,
    };
    const result = await build({ patches: given, ...(release === undefined ? {} : { release }), ...settings }, report);
    const file = join(built, `${result.name}-${result.kernel.release}.ko`);
    writeAtomically(file, result.module);
    jobs.push({ label: result.kernel.release, file, sources: given });
  }
  return jobs;
}

function releasesIn(file: string): string[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw failure('file-unreadable', { file, reason: (cause as Error).message }, { where: { file }, cause });
  }
  return text
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '');
}

async function proveOne(job: Job, common: Common, view: View): Promise<Proof> {
  const { options, test, userChecks, guests } = common;
  const subject = readSubject(job.file);
  const predecessors = options.from.map(readSubject);
  const sources = job.sources.map((file) => readSourcePatch(file, subject));
  const kernel = await kernelOf(subject, options, common.report);
  const plan = planOf(common);
  let proof: Proof;
  try {
    const program = options.full === true ? { program: await programFor(machineFor(kernel.image)) } : {};
    const { onEvent } = view;
    const kept = { folder: join(cacheRoot(), 'guests'), cold: options.cold === true };
    const input = { subject, predecessors, kernel, test, plan, userChecks, guests, kept, onEvent, ...program };
    proof = await prove(input, { folder: join(cacheRoot(), 'proofs'), resume: options.resume });
  } finally {
    view.close();
  }
  if (options.key !== undefined) proof = signProof(proof, options.key);
  if (options.proof !== false) {
    const path =
      typeof options.proof === 'string'
        ? options.proof
        : proofPath(basename(job.file) === job.file ? job.file : resolve(job.file));
    if (typeof options.proof === 'string' || !path.includes('/kpatch-prove-')) {
      writeProof(path, proof, options.key);
      common.report.note(`proof written to ${path}`);
    }
  }
  if (options.report !== undefined) await writeReport(options.report, proof, subject, kernel, sources, common);
  return proof;
}

/** Writes the proof and the test result, which says the same to other tools. */
function writeProof(path: string, proof: Proof, keyFile: string | undefined): void {
  const text = `${JSON.stringify(proof, null, 1)}\n`;
  const key = keyFile === undefined ? undefined : readPrivateKey(keyFile);
  writeAtomically(resolve(path), text);
  const result = testResultPath(path.replace(/(?:\.proof)?\.json$/, ''));
  writeAtomically(resolve(result), seal(testResultOf(proof, text, basename(path)), key));
}

async function writeReport(
  path: string,
  proof: Proof,
  subject: Subject,
  kernel: ProofKernel,
  sources: readonly ShownPatch[],
  { command, report }: Common,
): Promise<void> {
  const { facts } = kernel;
  const functions = functionsIn(proof, subject);
  const code = facts === undefined ? undefined : await codeOf(facts, functions);
  const page = reportPage(proof, reportFacts(subject, functions, code, sources), command);
  writeAtomically(resolve(path), page);
  report.note(`report written to ${path}`);
}

async function codeOf(facts: KernelFacts, functions: readonly ReplacedFunction[]): Promise<CodeSources> {
  const modules = new Map<string, ElfObject>();
  for (const name of new Set(functions.map(({ object }) => object))) {
    if (facts.modules.names.includes(name))
      modules.set(name, readObject((await facts.moduleFile(name)).bytes, `${name}.ko`));
  }
  return { image: facts.image, kallsyms: facts.kallsyms, modules };
}

function planOf({ options, userChecks }: Pick<Common, 'options' | 'userChecks'>): Plan {
  const base = options.full === true ? plans.full : plans.quick;
  const own = userChecks.map(({ check }) => check);
  const ids = own.map(({ id }) => id);
  return withUserChecks(onlyChecks(base, options.check, ids), own);
}

async function kernelOf(subject: Subject, options: Options, report: Reporter): Promise<ProofKernel> {
  const kernel = await kernelOfModule(kernelNamed(subject), { ...kernelSource(options), report });
  requireLivepatch(kernel);
  await holdKernel(kernel); // until this process ends
  const { release, buildId, paths } = kernel;
  return { release, buildId, image: paths.image, modules: paths.modules, facts: new KernelFacts(kernel) };
}

/** The command that repeats this proof. */
function commandLine(given: readonly string[], options: Options): string {
  const many = (name: string, values: readonly string[]): string[] =>
    values.flatMap((value) => [name, shellWord(value)]);
  const one = (name: string, value: string | undefined): string[] =>
    value === undefined ? [] : [name, shellWord(value)];
  return [
    'kpatch prove',
    ...given.map(shellWord),
    ...many('--kernel', options.kernel),
    ...one('--kernels', options.kernels),
    ...one('--test', options.test),
    ...(options.full === true ? ['--full'] : []),
    ...(options.cold === true ? ['--cold'] : []),
    ...(options.resume ? [] : ['--no-resume']),
    ...many('--check', options.check),
    ...many('--with', options.with),
    ...many('--from', options.from),
    ...many('--patch', options.patch),
    ...one('--report', options.report),
  ].join(' ');
}

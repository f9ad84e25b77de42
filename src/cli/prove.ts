/** `kpatch prove`: shows in virtual machines that a patch module holds, before anyone trusts it. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { ElfObject } from '../elf/object.ts';
import { readObject } from '../elf/read-object.ts';
import { fail } from '../errors/error.ts';
import { cacheRoot } from '../kernel/cache.ts';
import { KernelFacts } from '../kernel/facts.ts';
import { prepareKernel, requireLivepatch } from '../kernel/kernel.ts';
import { type Proof, signProof } from '../module/proof.ts';
import { proofPath } from '../module/proof-path.ts';
import type { Plan, ProofKernel } from '../prove/check.ts';
import type { ProofEvent } from '../prove/event.ts';
import { liveView } from '../prove/live-view.ts';
import { allProven, type Cell, matrixText, runMatrix } from '../prove/matrix.ts';
import { ownProgram } from '../prove/own-program.ts';
import { onlyChecks, plans, withUserChecks } from '../prove/plans.ts';
import { prove } from '../prove/proof.ts';
import { proofText } from '../prove/proof-text.ts';
import { type KernelCode, readSourcePatch, reportFacts, type SourcePatch } from '../prove/report/facts.ts';
import { reportPage } from '../prove/report/page.ts';
import { type PatchedFunction, readSubject, type Subject } from '../prove/subject.ts';
import { readTestScript, type TestScript } from '../prove/test-script.ts';
import { readUserCheck, type UserCheck } from '../prove/user-check.ts';
import { temporaryFolder, writeAtomically } from '../util/files.ts';
import { consoleReporter, type Reporter, silentReporter } from '../util/report.ts';
import { printFailure } from './command.ts';
import { type JsonStream, jsonStream } from './json-stream.ts';

interface Options {
  readonly kernel: readonly string[];
  readonly kernels?: string;
  readonly test?: string;
  readonly full?: boolean;
  readonly cold?: boolean;
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
  program
    .command('prove')
    .summary('show in virtual machines that a patch module holds')
    .description(
      'Runs a plan of checks on the very kernel that the module was built for, and gives a verdict with its evidence. ' +
        'Several modules, or source patches with several --kernel, are proven side by side.',
    )
    .argument('<module...>', 'patch modules (.ko), each for its own kernel; or source patches, which are built first')
    .option('-k, --kernel <release>', 'the kernel to prove it on (repeatable with source patches)', collect, [])
    .option('--kernels <file>', 'a file that lists kernel releases, one a line')
    .option(
      '--test <script>',
      "the author's test: a shell script, run before, with and after the patch (may name modules and files)",
    )
    .option('--full', 'the full plan: also load, cycles, upgrades, memory errors, the boot path (minutes)')
    .option('--cold', 'boot each virtual machine; do not resume kept ones')
    .option('--check <name>', 'only this check and those it builds on (repeatable)', collect, [])
    .option('--with <file>', 'a check of your own, a shell or TypeScript file (repeatable)', collect, [])
    .option('--from <module>', 'a predecessor: the upgrade from it, and back, is tried (repeatable)', collect, [])
    .option('--patch <file>', 'a source patch of the module, to be shown in the report (repeatable)', collect, [])
    .option('--proof <file>', 'where the proof is written (default: MODULE.proof.json beside the module)')
    .option('--no-proof', 'write no proof')
    .option('--key <file>', 'private key (PEM) that signs the proof')
    .option('--report <file>', 'write a page (HTML) that shows the proof')
    .option('--json', 'one JSON document, written as it happens: every event, then the proof')
    .action(async (modules: string[], options: Options) => {
      const stream = options.json === true ? jsonStream('kpatch.prove/1', process.stdout) : undefined;
      try {
        using built = temporaryFolder('kpatch-prove-');
        await run(modules, options, built.path, stream);
      } catch (error) {
        if (stream?.begun === true) stream.fail(error);
        else printFailure(error, options.json === true);
      }
    });
}

/** One module with its kernel, and the source patches that it is known to come from. */
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
    process.exitCode = proof.verdict === 'proven' ? 0 : 1;
    if (stream === undefined) process.stdout.write(proofText(proof));
    else stream.end({ proof });
    return;
  }
  if (typeof options.proof === 'string' || options.report !== undefined) {
    throw fail('usage', { problem: '--proof FILE and --report are for one module on one kernel' });
  }
  const one = async (job: Job): Promise<Proof> => {
    try {
      return await proveOne(job, common, viewOf(stream, job.label));
    } catch (error) {
      // The others go on, maybe for long: why this one has no proof is not kept back until then.
      report.warn(`${job.label}: ${error instanceof Error ? error.message : String(error)}`);
      throw error;
    }
  };
  const cells = await runMatrix(jobs.map((job) => ({ label: job.label, run: () => one(job) })));
  process.exitCode = allProven(cells) ? 0 : 1;
  if (stream === undefined) process.stdout.write(`\n${matrixText(cells)}`);
  else
    stream.end({
      proofs: cells.map(({ label, proof, error }: Cell) => ({ label, proof: proof ?? null, error: error ?? null })),
    });
}

interface Common {
  readonly options: Options;
  readonly report: Reporter;
  readonly test: TestScript | undefined;
  readonly userChecks: readonly UserCheck[];
  readonly command: string;
  /** Boots of one proof that run at once: where several proofs run side by side, one each. */
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
        throw fail('prove-other-kernel', { file, built: release, wanted: releases.join(', ') }, { where: { file } });
      }
      return { label: modules.length > 1 ? `${release} ${basename(file)}` : release, file, sources: options.patch };
    });
  }
  if (modules.length > 0) throw fail('usage', { problem: 'give modules (.ko) or source patches, not both' });
  const { build } = await import('../build/build.ts');
  const jobs: Job[] = [];
  for (const release of releases.length === 0 ? [undefined] : [...new Set(releases)]) {
    const settings = { cves: [], replace: true, skipCompilerCheck: false, keepLineChanges: false };
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
    throw fail('file-unreadable', { file, reason: (cause as Error).message }, { where: { file }, cause });
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
  const kernel = await kernelOf(subject, common.report);
  const plan = planOf(common);
  let proof: Proof;
  try {
    const program = options.full === true ? { program: ownProgram() } : {};
    const { onEvent } = view;
    const kept = { folder: join(cacheRoot(), 'guests'), cold: options.cold === true };
    proof = await prove({ subject, predecessors, kernel, test, plan, userChecks, guests, kept, onEvent, ...program });
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
      writeAtomically(resolve(path), `${JSON.stringify(proof, null, 1)}\n`);
      common.report.note(`proof written to ${path}`);
    }
  }
  if (options.report !== undefined) await writeReport(options.report, proof, subject, kernel, sources, common);
  return proof;
}

async function writeReport(
  path: string,
  proof: Proof,
  subject: Subject,
  kernel: ProofKernel,
  sources: readonly SourcePatch[],
  { command, report }: Common,
): Promise<void> {
  const { facts } = kernel;
  const functions = functionsIn(proof, subject);
  const code = facts === undefined ? undefined : await codeOf(facts, functions);
  const page = reportPage(proof, reportFacts(subject, functions, code, sources), command);
  writeAtomically(resolve(path), page);
  report.note(`report written to ${path}`);
}

async function codeOf(facts: KernelFacts, functions: readonly PatchedFunction[]): Promise<KernelCode> {
  const modules = new Map<string, ElfObject>();
  for (const name of new Set(functions.map(({ object }) => object))) {
    if (facts.modules.names.includes(name))
      modules.set(name, readObject((await facts.moduleFile(name)).bytes, `${name}.ko`));
  }
  return { image: facts.image, kallsyms: facts.kallsyms, modules };
}

/** The functions that livepatch listed in the guest, or those of the manifest where none was reached. */
function functionsIn(proof: Proof, subject: Subject): readonly PatchedFunction[] {
  for (const { check, evidence } of proof.checks) {
    if (!check.endsWith('/redirected')) continue;
    const listed = evidence.map(({ data }) => (data as { functions?: PatchedFunction[] } | undefined)?.functions);
    const found = listed.find((functions) => functions !== undefined);
    if (found !== undefined) return found;
  }
  return subject.functions ?? [];
}

function planOf({ options, userChecks }: Pick<Common, 'options' | 'userChecks'>): Plan {
  const base = options.full === true ? plans.full : plans.quick;
  const own = userChecks.map(({ check }) => check);
  const ids = own.map(({ id }) => id);
  return withUserChecks(onlyChecks(base, options.check, ids), own);
}

async function kernelOf(subject: Subject, report: Reporter): Promise<ProofKernel> {
  const kernel = await prepareKernel(subject.release, { report });
  requireLivepatch(kernel);
  const { release, buildId, paths } = kernel;
  return { release, buildId, image: paths.image, modules: paths.modules, facts: new KernelFacts(kernel) };
}

/** The command that makes the same proof again. */
function commandLine(given: readonly string[], options: Options): string {
  const word = (text: string): string => (/^[\w./+:-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const many = (name: string, values: readonly string[]): string[] => values.flatMap((value) => [name, word(value)]);
  const one = (name: string, value: string | undefined): string[] => (value === undefined ? [] : [name, word(value)]);
  return [
    'kpatch prove',
    ...given.map(word),
    ...many('--kernel', options.kernel),
    ...one('--kernels', options.kernels),
    ...one('--test', options.test),
    ...(options.full === true ? ['--full'] : []),
    ...(options.cold === true ? ['--cold'] : []),
    ...many('--check', options.check),
    ...many('--with', options.with),
    ...many('--from', options.from),
    ...many('--patch', options.patch),
    ...one('--report', options.report),
  ].join(' ');
}

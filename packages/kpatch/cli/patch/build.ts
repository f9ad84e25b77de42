/** `kpatch build PATCH...`: from source patches to a livepatch module. */
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import type { Command } from 'commander';
import { isCveId } from '../../advisory/record.ts';
import { fail } from '../../base/errors/error.ts';
import { checkWritable, temporaryFolder, writeAtomically } from '../../base/files.ts';
import { type BuildRequest, type BuildResult, build } from '../../builder/build.ts';
import { describeCause } from '../../builder/cause.ts';
import { forecast } from '../../builder/forecast.ts';
import type { OutOfTreeModule } from '../../builder/out-of-tree.ts';
import { recordDuration } from '../../builder/timings.ts';
import type { CustomParts } from '../../distro/custom/custom.ts';
import type { SigningKey } from '../../module/make/sign.ts';
import { cacheRoot } from '../../prepare/cache.ts';
import { obtainPatches } from '../../source/origin/obtain.ts';
import { action, type Outcome } from '../command.ts';
import { shellWord } from '../shell-word.ts';
import { type KernelSourceOptions, kernelSource, withKernelSource } from './kernel-options.ts';
import { planOutcome } from './plan-text.ts';
import { targetOf } from './target.ts';

interface Options extends KernelSourceOptions {
  readonly kernel?: string;
  readonly image?: string;
  readonly headers?: string;
  readonly source?: string;
  readonly modules?: string;
  readonly debugImage?: string;
  readonly ootModule?: string;
  readonly ootModuleSrc?: string;
  readonly output?: string;
  readonly name?: string;
  readonly patchVersion?: string;
  readonly after?: string;
  readonly withdraw: readonly string[];
  readonly signKey?: string;
  readonly signCert?: string;
  readonly cve: readonly string[];
  readonly replace: boolean;
  readonly skipCompilerCheck?: boolean;
  readonly keepLineChanges?: boolean;
  readonly skipRunPre?: boolean;
  readonly acceptLayout: readonly string[];
  readonly leaveOutInit?: boolean;
  readonly jobs?: string;
  readonly keepGlue?: string;
  readonly plan?: boolean;
}

const collect = (value: string, before: readonly string[]): string[] => [...before, value];

export function register(program: Command): void {
  const command = program
    .command('build')
    .summary('build a live patch from source patches')
    .description(
      'Builds a livepatch module from source patches, in order: patch files (also .gz, .xz, .zst), folders of patches, a quilt ' +
        '`series` file, a commit, a CVE, an https address, or - for standard input.',
    )
    .argument('<patch...>', 'unified diffs against the source of the target kernel')
    .option(
      '-k, --kernel <release>',
      'target kernel, as in `uname -r` (default: the running one; if it cannot be patched, kpatch asks)',
    )
    .option(
      '--plan',
      'compile nothing; print which files would be compiled, the functions expected to change, and the time',
    )
    .option('--image <file>', 'image of a custom kernel (vmlinuz or vmlinux); needs --headers and --source')
    .option('--headers <folder>', 'its folder for building modules')
    .option('--source <path>', 'its source: a folder or a tar archive')
    .option('--modules <folder>', 'its modules: /lib/modules/RELEASE')
    .option('--debug-image <file>', 'its vmlinux with symbols')
    .option('--oot-module <file>', 'patch this out-of-tree module (the installed .ko file)')
    .option('--oot-module-src <folder>', 'its source, to which the patches apply')
    .option('-o, --output <file>', 'write the module to this file (default: NAME.ko in the current folder)')
    .option('-n, --name <name>', 'name of the module (default: derived from the first patch)')
    .option(
      '--patch-version <number>',
      'version of the cumulative patch (default: 1, or one more than that of --after)',
    )
    .option('--after <module>', 'the livepatch module that this one replaces; all its functions must be covered')
    .option('--withdraw <function>', 'a function that no longer needs to be covered (repeatable)', collect, [])
    .option('--sign-key <file>', 'sign the module with this private key (PEM; passphrase in KBUILD_SIGN_PIN)')
    .option('--sign-cert <file>', 'certificate of that key (PEM or DER)')
    .option('--cve <id>', 'a CVE that it fixes, in addition to those named in the patches (repeatable)', collect, [])
    .option('--no-replace', 'do not replace the live patches that are already loaded')
    .option('-j, --jobs <number>', 'number of compilers to run at once (default: one for each processor)')
    .option('--skip-compiler-check', 'accept a compiler other than the one that built the kernel (dangerous)')
    .option('--accept-layout <type>', 'accept a changed layout of `struct NAME` (repeatable; dangerous)', collect, [])
    .option('--leave-out-init', 'skip changed init and exit code of modules, with a note')
    .option('--skip-run-pre', 'do not compare the functions to be replaced with the running code (dangerous)')
    .option('--keep-line-changes', 'treat a shifted line number in a warning as a change')
    .option('--keep-glue <file>', 'also write the generated C source (glue code) of the module')
    .option('--no-sandbox', 'run the compiler and its tools with all your rights (dangerous; recorded in the manifest)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Commits come from kernel.org, or from the repository that /etc/kpatch/build.conf names (users: ~/.config/kpatch/build.conf):
  repository=/src/linux         a clone, or the address of a repository
  cves=/src/vulns               CVE records: a clone of vulns.git, or an address with {id}
For a CVE kpatch takes the fix of the series of the target kernel, or else the original commit.`,
    );
  withKernelSource(command).action(
    action<Options, [string[]]>(async ({ report, json }, options, patches) => {
      const started = performance.now();
      checkOptions(options);
      for (const file of [options.output, options.keepGlue]) if (file !== undefined) checkWritable(file);
      const release = await targetOf({
        kernelSource: kernelSource(options),
        report,
        json,
        ...(options.kernel === undefined ? {} : { given: options.kernel }),
        ...otherTarget(options),
      });
      using fetched = temporaryFolder('kpatch-patches-');
      const obtained = await obtainPatches({
        names: patches,
        folder: fetched.path,
        cache: join(cacheRoot(), 'git'),
        release: () => release,
        note: (text) => report.note(text),
      });
      const request: BuildRequest = {
        patches: obtained.files,
        kernelSource: kernelSource(options),
        ...(release === undefined ? {} : { release }),
        ...partsOf(options),
        ...outOfTree(options),
        ...(options.name === undefined ? {} : { name: options.name }),
        ...(options.patchVersion === undefined ? {} : { version: natural('--patch-version', options.patchVersion) }),
        ...(options.after === undefined ? {} : { after: options.after }),
        withdraw: options.withdraw,
        ...signing(options),
        cves: [...options.cve, ...obtained.cves],
        replace: options.replace,
        skipCompilerCheck: options.skipCompilerCheck === true,
        keepLineChanges: options.keepLineChanges === true,
        skipRunPre: options.skipRunPre === true,
        acceptLayouts: options.acceptLayout,
        leaveOutInit: options.leaveOutInit === true,
        ...(options.jobs === undefined ? {} : { jobs: natural('--jobs', options.jobs) }),
      };
      if (options.plan === true) return planOutcome(await forecast(request, report), withoutPlan());
      const result = await build(request, report);
      const output = options.output ?? join(process.cwd(), `${result.name}.ko`);
      writeAtomically(output, result.module);
      if (options.keepGlue !== undefined) writeAtomically(options.keepGlue, result.glue);
      measured(result, request, performance.now() - started);
      return outcome(result, output);
    }),
  );
}

/** This command line without `--plan`, as a shell reads it. */
function withoutPlan(): string {
  const words = process.argv.slice(2).filter((word) => word !== '--plan');
  return ['kpatch', ...words.map(shellWord)].join(' ');
}

/** Errors: `usage`. */
function checkOptions({ cve, withdraw, after }: Options): void {
  const odd = cve.find((id) => !isCveId(id));
  if (odd !== undefined) throw fail('usage', { problem: `--cve '${odd}' is not a CVE, such as CVE-2026-12345` });
  if (withdraw.length > 0 && after === undefined) throw fail('usage', { problem: '--withdraw needs --after MODULE' });
}

/** A target that is not named by a release. */
function otherTarget({ image, ootModule }: Options): { other?: string } {
  if (image !== undefined) return { other: `the custom kernel ${image}` };
  return ootModule === undefined ? {} : { other: `the kernel that ${ootModule} was built for` };
}

/** Remembers how long it took, unless the kernel had to be prepared first. */
function measured(
  { kernel, units, times }: BuildResult,
  { jobs = availableParallelism() }: BuildRequest,
  ms: number,
): void {
  const of = (stage: string): number =>
    times.filter(({ name }) => name.startsWith(stage)).reduce((sum, time) => sum + time.ms, 0);
  if (of('target kernel') < 5000) recordDuration(kernel.release, units.length, jobs, ms, of('compile '));
}

/** The parts of a custom kernel; --image, --headers and --source are required together. Error: `usage`. */
function partsOf({ kernel, image, headers, source, modules, debugImage }: Options): { parts?: CustomParts } {
  const all = { image, headers, source, modules, debugImage };
  const given = Object.entries(all).filter(([, value]) => value !== undefined);
  if (given.length === 0) return {};
  if (kernel !== undefined) throw fail('usage', { problem: `--kernel and --${given[0]![0]} cannot be combined` });
  if (image === undefined || headers === undefined || source === undefined) {
    throw fail('usage', { problem: 'a custom kernel needs --image, --headers and --source' });
  }
  const more = { ...(modules === undefined ? {} : { modules }), ...(debugImage === undefined ? {} : { debugImage }) };
  return { parts: { image, headers, source, ...more } };
}

function outOfTree({ ootModule, ootModuleSrc }: Options): { outOfTree?: OutOfTreeModule } {
  if (ootModule === undefined && ootModuleSrc === undefined) return {};
  if (ootModule !== undefined && ootModuleSrc !== undefined) {
    return { outOfTree: { module: ootModule, source: ootModuleSrc } };
  }
  throw fail('usage', { problem: '--oot-module and --oot-module-src must be given together' });
}

function signing({ signKey, signCert }: Options): { sign?: SigningKey } {
  if (signKey === undefined && signCert === undefined) return {};
  if (signKey === undefined) throw fail('sign-incomplete', { given: '--sign-cert' });
  if (signCert === undefined) throw fail('sign-incomplete', { given: '--sign-key' });
  return { sign: { key: signKey, certificate: signCert } };
}

function natural(option: string, value: string): number {
  const number = Number(value);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw fail('usage', { problem: `${option} needs a positive integer, not '${value}'` });
}

function outcome(result: BuildResult, output: string): Outcome {
  const { kernel, name, functions, leftOut, adjustments, notes, units, times } = result;
  const lines = functions.map(({ kind, name, object, reasons, cause }) => {
    const why = [describeCause(cause), because(reasons)].filter((text) => text !== '').join('; ');
    return `${kind} function: ${name} (${object})${why === '' ? '' : `: ${why}`}`;
  });
  const replaced = functions.filter(({ kind }) => kind === 'changed');
  const matched = replaced.filter(({ digest }) => digest !== undefined).length;
  const shown = relative(process.cwd(), output).startsWith('..') ? output : relative(process.cwd(), output);
  return {
    schema: 'kpatch.build/1',
    data: {
      module: output,
      name,
      version: result.version,
      sha256: result.sha256,
      signed: result.signed,
      checked: result.checked,
      bytes: result.module.length,
      release: kernel.release,
      units,
      functions,
      runPre: { matched, of: replaced.length },
      leftOut,
      adjustments,
      notes,
      peakMemoryKiB: process.resourceUsage().maxRSS,
      parsed: result.parsed,
      stages: times.map(({ name, ms }) => ({ name, ms: Math.round(ms) })),
    },
    text: [
      ...lines,
      ...someOf(notes),
      `run-pre match: ${matched}/${replaced.length} functions match the kernel image`,
      `${output}: live patch for ${kernel.release}, ${result.module.length} bytes`,
    ].join('\n'),
    next: [
      { run: `kpatch prove ${shown}`, what: 'test it in a virtual machine' },
      { run: `kpatch install ${shown}`, what: `on ${kernel.release}: load it now and at every boot` },
    ],
  };
}

function because(reasons: readonly string[]): string {
  return reasons.length === 0 ? '' : `${reasons[0]}${reasons.length > 1 ? ` (and ${reasons.length - 1} more)` : ''}`;
}

/** At most eight notes; `--json` has all of them. */
function someOf(notes: readonly string[]): string[] {
  const shown = notes.slice(0, notes.length > 8 ? 6 : 8).map((note) => `note: ${note}`);
  const rest = notes.length - shown.length;
  return rest === 0 ? shown : [...shown, `note: ${rest} more notes; --json lists them all`];
}

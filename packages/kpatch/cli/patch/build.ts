/** `kpatch build PATCH...`: from source patches to a livepatch module. */
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import type { Command } from 'commander';
import { isCveId } from '../../advisory/record.ts';
import { failure } from '../../base/errors/error.ts';
import { checkWritable, temporaryFolder, writeAtomically } from '../../base/files.ts';
import { cacheRoot } from '../../base/workspace.ts';
import { build } from '../../builder/build.ts';
import { describeCause } from '../../builder/cause.ts';
import { forecast } from '../../builder/duration/forecast.ts';
import { recordDuration } from '../../builder/duration/timings.ts';
import type { BuildRequest, BuildResult } from '../../builder/request.ts';
import type { SigningKey } from '../../module/make/sign.ts';
import { provenancePath } from '../../module/proof-path.ts';
import { readPrivateKey } from '../../module/signing-key.ts';
import { seal } from '../../provenance/envelope.ts';
import { hazardText, readKinds } from '../../review/review.ts';
import { obtainPatches } from '../../source/origin/obtain.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { type KernelSourceOptions, kernelSource, withKernelSource } from '../kernel/kernel-options.ts';
import { outOfTree, type PartOptions, partsOf, withParts } from '../kernel/kernel-parts.ts';
import { targetOf } from '../kernel/target.ts';
import { shellWord } from '../shell-word.ts';
import { buildRewritten } from './build-rewritten.ts';
import { planOutcome } from './plan-text.ts';

interface Options extends KernelSourceOptions, PartOptions {
  readonly kernel?: string;
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
  readonly deny?: string;
  readonly rewrite?: boolean;
  readonly leaveOutInit?: boolean;
  readonly jobs?: string;
  readonly keepGlue?: string;
  readonly plan?: boolean;
  readonly provenanceKey?: string;
  readonly builderId?: string;
}

const collect = (value: string, before: readonly string[]): string[] => [...before, value];

export function register(program: Command): void {
  const command = program.command('build');
  command
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
    );
  withParts(command)
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
    .option(
      '--rewrite',
      'if the patch is refused, build it as `kpatch rewrite` changes it; each applied rule is a warning',
    )
    .option('--deny <kinds>', 'end the build if the review finds a hazard of these kinds (comma-separated, or all)')
    .option('--leave-out-init', 'skip changed init and exit code of modules, with a note')
    .option('--skip-run-pre', 'do not compare the functions to be replaced with the running code (dangerous)')
    .option('--keep-line-changes', 'treat a shifted line number in a warning as a change')
    .option('--keep-glue <file>', 'also write the generated C source (glue code) of the module')
    .option('--no-sandbox', 'run the compiler and its tools with all your rights (dangerous; recorded in the manifest)')
    .option('--provenance-key <file>', 'private key (PEM) to sign the provenance with')
    .option('--builder-id <uri>', 'name of this builder in the provenance')
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
    action<Options, [string[]]>(async (context, options, patches) => {
      const { report } = context;
      const started = performance.now();
      const settings = settingsOf(options);
      for (const file of [options.output, options.keepGlue]) if (file !== undefined) checkWritable(file);
      const key = options.provenanceKey === undefined ? undefined : readPrivateKey(options.provenanceKey);
      using fetched = temporaryFolder('kpatch-patches-');
      const { release, obtained } = await sourcesOf(context, options, patches, fetched.path);
      const request: BuildRequest = {
        ...settings,
        patches: obtained.files,
        ...(release === undefined ? {} : { release }),
        cves: [...options.cve, ...obtained.cves],
      };
      if (options.plan === true) return planOutcome(await forecast(request, report), withoutPlan());
      const result = await (options.rewrite === true ? buildRewritten : build)(request, report);
      const output = options.output ?? join(process.cwd(), `${result.name}.ko`);
      // The module comes last: it is never there with the statement of another build.
      writeAtomically(provenancePath(output), seal(result.provenance, key));
      writeAtomically(output, result.module);
      if (options.keepGlue !== undefined) writeAtomically(options.keepGlue, result.glue);
      for (const type of unusedLayouts(options, result)) {
        report.warn(`--accept-layout ${type} had no effect: the layout of that structure does not change`);
      }
      measured(result, request, performance.now() - started);
      return outcome(result, output, key?.id);
    }),
  );
}

/** The target kernel and the patch files, before anything is prepared. Errors: those of `targetOf` and `obtainPatches`. */
async function sourcesOf({ report, json }: Context, options: Options, names: readonly string[], folder: string) {
  const given = options.kernel === undefined ? {} : { given: options.kernel };
  const release = await targetOf({
    kernelSource: kernelSource(options),
    report,
    json,
    ...given,
    ...otherTarget(options),
  });
  const obtained = await obtainPatches({
    names,
    folder,
    cache: join(cacheRoot(), 'git'),
    release: () => release,
    note: (text) => report.note(text),
  });
  return { release, obtained };
}

/** This command line without `--plan`, as a shell reads it. */
function withoutPlan(): string {
  const words = process.argv.slice(2).filter((word) => word !== '--plan');
  return ['kpatch', ...words.map(shellWord)].join(' ');
}

/** What the options alone say of a build, before anybody is asked for a kernel. Errors: `usage`, `sign-incomplete`. */
function settingsOf(options: Options): Omit<BuildRequest, 'patches' | 'release' | 'cves'> {
  const { cve, withdraw, after } = options;
  const odd = cve.find((id) => !isCveId(id));
  if (odd !== undefined) throw failure('usage', { problem: `--cve '${odd}' is not a CVE, such as CVE-2026-12345` });
  if (withdraw.length > 0 && after === undefined)
    throw failure('usage', { problem: '--withdraw needs --after MODULE' });
  return {
    kernelSource: kernelSource(options),
    ...partsOf(options),
    ...outOfTree(options),
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.patchVersion === undefined ? {} : { version: natural('--patch-version', options.patchVersion) }),
    ...(options.after === undefined ? {} : { after: options.after }),
    withdraw: options.withdraw,
    ...signing(options),
    replace: options.replace,
    skipCompilerCheck: options.skipCompilerCheck === true,
    keepLineChanges: options.keepLineChanges === true,
    skipRunPre: options.skipRunPre === true,
    acceptLayouts: options.acceptLayout,
    ...(options.deny === undefined ? {} : { deny: readKinds(options.deny) }),
    leaveOutInit: options.leaveOutInit === true,
    ...(options.builderId === undefined ? {} : { builder: builderUri(options.builderId) }),
    ...(options.jobs === undefined ? {} : { jobs: natural('--jobs', options.jobs) }),
  };
}

/** A target that is not named by a release. */
function otherTarget({ image, ootModule }: Options): { other?: string } {
  if (image !== undefined) return { other: `the custom kernel ${image}` };
  return ootModule === undefined ? {} : { other: `the kernel that ${ootModule} was built for` };
}

/** Structures of `--accept-layout` that did not change: perhaps mistyped. */
function unusedLayouts({ acceptLayout }: Options, { notes }: BuildResult): string[] {
  return acceptLayout.filter((type) => !notes.some((note) => note.startsWith(`the layout of ${type} changes`)));
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

function signing({ signKey, signCert }: Options): { sign?: SigningKey } {
  if (signKey === undefined && signCert === undefined) return {};
  if (signKey === undefined) throw failure('sign-incomplete', { given: '--sign-cert' });
  if (signCert === undefined) throw failure('sign-incomplete', { given: '--sign-key' });
  return { sign: { key: signKey, certificate: signCert } };
}

/** SLSA asks for a URI. Error: `usage`. */
function builderUri(text: string): string {
  if (/^[a-z][a-z0-9+.-]*:[!-~]+$/i.test(text) && text.length < 512) return text;
  throw failure('usage', { problem: '--builder-id needs a URI, such as https://example.org/builders/1' });
}

function natural(option: string, value: string): number {
  const number = Number(value);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw failure('usage', { problem: `${option} needs a positive integer, not '${value}'` });
}

function outcome(result: BuildResult, output: string, key: string | undefined): Outcome {
  const { kernel, name, functions, leftOut, adjustments, notes, units, times } = result;
  const lines = functions.map(({ kind, name, object, reasons, cause }) => {
    const why = [describeCause(cause), because(reasons)].filter((text) => text !== '').join('; ');
    return `${kind} function: ${name} (${object})${why === '' ? '' : `: ${why}`}`;
  });
  const replaced = functions.filter(({ kind }) => kind === 'changed');
  const matched = replaced.filter(({ digest }) => digest !== undefined).length;
  const here = relative(process.cwd(), output);
  const shown = shellWord(here.startsWith('..') ? output : here);
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
      provenance: { file: provenancePath(output), ...(key === undefined ? {} : { key }) },
      leftOut,
      adjustments,
      hazards: [...result.hazards],
      notes,
      peakMemoryKiB: process.resourceUsage().maxRSS,
      parsed: result.parsed,
      stages: times.map(({ name, ms }) => ({ name, ms: Math.round(ms) })),
    },
    text: [
      ...lines,
      ...result.hazards.map(hazardText),
      ...someOf(notes),
      `run-pre match: ${matched}/${replaced.length} functions match the kernel image`,
      `${output}: live patch for ${kernel.release}, ${result.module.length} bytes`,
      `${provenancePath(output)}: what it was built from, ${key === undefined ? 'not signed (--provenance-key signs it)' : `signed with key ${key.slice(0, 16)}`}`,
    ].join('\n'),
    next: [
      { run: `kpatch try ${shown}`, what: 'a shell in a virtual machine that runs it' },
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

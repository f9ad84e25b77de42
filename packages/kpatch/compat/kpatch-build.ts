/**
 * `kpatch-build`: a replacement for the program of that name in dynup/kpatch. It has the same options, prints the same lines
 * and exits with 0 or 1. It builds like `kpatch build`: without a debug package or a full kernel build.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir, release as runningRelease } from 'node:os';
import { basename, join } from 'node:path';
import { failure, KpatchError } from '../base/errors/error.ts';
import { renderError } from '../base/errors/render.ts';
import { writeAtomically } from '../base/files.ts';
import { print, printError } from '../base/print.ts';
import { type Reporter, silentReporter } from '../base/report.ts';
import { run } from '../base/run.ts';
import { useSandbox } from '../base/workspace.ts';
import { type BuildRequest, type BuildResult, build } from '../builder/build.ts';
import type { CustomParts } from '../distro/custom/custom.ts';
import { readConfig } from '../kernel/config.ts';
import { KernelModules } from '../kernel/modules.ts';
import type { TargetKernel } from '../kernel/target.ts';
import { platformHere } from '../platform/registry.ts';
import { defaultName, Ending, type KpatchBuildOptions, parseOptions, usageText } from './kpatch-build-options.ts';

/** Where dynup/kpatch keeps its log and scratch files. */
interface Places {
  readonly log: string;
  readonly scratch: string;
}

/** Runs the program and returns its exit status. */
export async function kpatchBuild(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const cache = environment.CACHEDIR ?? join(environment.HOME ?? homedir(), '.kpatch');
  const places = { log: join(cache, 'build.log'), scratch: join(cache, 'tmp') };
  let logged = false;
  try {
    const options = parseOptions(argv);
    announce(options);
    mkdirSync(places.scratch, { recursive: true });
    writeFileSync(places.log, `kpatch-build ${argv.join(' ')}\n`);
    logged = true;
    await buildPatch(options, places);
    return 0;
  } catch (error) {
    return failed(error, logged ? places.log : undefined);
  }
}

function announce({ debug, skipCleanup, skipCompilerCheck }: KpatchBuildOptions): void {
  if (debug > 0) say('DEBUG mode enabled');
  if (skipCleanup) say('Skipping cleanup');
  if (skipCompilerCheck) say('WARNING: Skipping compiler version matching check (not recommended)');
}

async function buildPatch(options: KpatchBuildOptions, places: Places): Promise<void> {
  if (options.noSandbox) useSandbox(false);
  const title = options.name ?? defaultName(options.patches);
  const request = requestOf(options, title);
  if (options.sourcedir !== undefined) say(`Using source directory at ${options.sourcedir}`);
  say('Testing patch file(s)');
  const result = await build(request, reporter(places.log, options.debug));
  checkConfig(options, result);
  await checkVmlinux(options, result);
  for (const { unit, kind, name } of result.functions) say(`${basename(unit)}: ${kind} function: ${name}`);
  for (const note of result.notes) log(places.log, `note: ${note}`);
  say(`Patched objects: ${objectsOf(result, options.ootModule).join(' ')}`);
  say(`Building patch module: ${title}.ko`);
  writeAtomically(join(options.output, `${title}.ko`), result.module);
  if (options.debug > 0 || options.skipCleanup) keep(places.scratch, result);
  say('SUCCESS');
}

function requestOf(options: KpatchBuildOptions, title: string): BuildRequest {
  const { patches, jobs, replace, skipCompilerCheck } = options;
  const parts = partsOf(options);
  const kernel = parts === undefined ? releaseOf(options) : { parts };
  const { ootModule: module, ootModuleSrc: source } = options;
  return {
    patches,
    ...kernel,
    ...(module === undefined || source === undefined ? {} : { outOfTree: { module, source } }),
    name: title.replaceAll('-', '_').replace(/^(?=\d)/, '_'),
    version: 1,
    cves: [],
    replace,
    skipCompilerCheck,
    keepLineChanges: false,
    ...(jobs === undefined ? {} : { jobs }),
  };
}

/**
 * A source folder is one in which the kernel was built: it contains image, headers and source. Its modules are those built
 * there or installed from it.
 */
function partsOf({ sourcedir, vmlinux }: KpatchBuildOptions): CustomParts | undefined {
  if (sourcedir === undefined) return undefined;
  const image = vmlinux ?? join(sourcedir, 'vmlinux');
  if (!existsSync(image)) throw new Ending("can't find vmlinux");
  if (existsSync(join(sourcedir, 'modules.order'))) {
    return { image, headers: sourcedir, source: sourcedir, modules: sourcedir };
  }
  const release = join(sourcedir, 'include/config/kernel.release');
  const installed = existsSync(release) ? join('/lib/modules', readFileSync(release, 'utf8').trim()) : '';
  const modules = installed !== '' && existsSync(installed) ? { modules: installed } : {};
  return { image, headers: sourcedir, source: sourcedir, ...modules };
}

/** The given release, or that of the out-of-tree module, of the source package, or of the running kernel. */
function releaseOf({ archversion, ootModule, sourcerpm }: KpatchBuildOptions): { release?: string } {
  if (archversion !== undefined) return { release: archversion };
  if (ootModule !== undefined) return {};
  if (sourcerpm === undefined) return { release: runningRelease() };
  const version = /^kernel-(?:alt-)?(.+)\.src\.rpm$/.exec(basename(sourcerpm))?.[1];
  if (version === undefined) throw new Ending(`'${sourcerpm}' is not a source package of a kernel`);
  return { release: `${version}.${platformHere().naming.rpm}` };
}

/** A given configuration must be that of the kernel, because another one would produce other code. */
function checkConfig({ config }: KpatchBuildOptions, { kernel }: BuildResult): void {
  if (config === undefined) return;
  const difference = readConfig(config).firstDifference(readConfig(kernel.paths.config));
  if (difference === undefined) return;
  const { option, here, there } = difference;
  throw new Ending(
    `${config} is not the configuration of ${kernel.release}: ${option} is ${here} in the file and ${there} in the kernel`,
  );
}

/** A given vmlinux must be that of the kernel, because the symbols of another build have other addresses. Throws `Ending`. */
export async function checkVmlinux(
  { vmlinux, sourcedir }: Pick<KpatchBuildOptions, 'vmlinux' | 'sourcedir'>,
  { kernel }: { readonly kernel: Pick<TargetKernel, 'release' | 'buildId'> },
): Promise<void> {
  if (vmlinux === undefined || sourcedir !== undefined || kernel.buildId === undefined) return;
  // The file can be a gigabyte; readelf reads only its notes.
  const { stdout } = await run('readelf', ['-n', '--wide', vmlinux]);
  if (stdout.toString().includes(kernel.buildId)) return;
  throw new Ending(`${vmlinux} is not the vmlinux of ${kernel.release} (build-id ${kernel.buildId})`);
}

/** `vmlinux`, or the path of the module such as `drivers/net/tun.ko`; for an out-of-tree module its file name. */
function objectsOf({ kernel, functions }: BuildResult, outOfTree: string | undefined): string[] {
  const modules = new KernelModules(kernel);
  const path = (object: string): string => {
    return outOfTree === undefined ? `${modules.objectOf(object) ?? object}.ko` : basename(outOfTree);
  };
  const names = functions.map(({ object }) => (object === 'vmlinux' ? object : path(object)));
  return [...new Set(names)].sort();
}

/** The lines that `kpatch-build` prints for the stages of a build; other stages print nothing. */
function linesOf(stage: string): string[] {
  if (stage.startsWith('compile'))
    return ['Reading special section data', 'Building original source', 'Building patched source'];
  return stage === 'compare' ? ['Extracting new and modified ELF sections'] : [];
}

function reporter(file: string, debug: number): Reporter {
  const silent = silentReporter();
  const detail = (text: string): void => {
    log(file, text);
    if (debug > 0) say(text);
  };
  return {
    times: silent.times,
    warnings: silent.warnings,
    stage(name, work) {
      for (const line of linesOf(name)) say(line);
      return silent.stage(name, (update) => {
        return work((text) => {
          log(file, `${name}: ${text}`);
          update(text);
        });
      });
    },
    note: detail,
    warn(text) {
      silent.warn(text);
      log(file, text);
      printError(`WARNING: ${text}\n`);
    },
  };
}

/** Keeps files for debugging: the source of the glue code, the functions, the unsigned module. */
function keep(scratch: string, result: BuildResult): void {
  writeAtomically(join(scratch, 'glue.c'), result.glue);
  writeAtomically(join(scratch, 'functions.json'), `${JSON.stringify(result.functions, null, 2)}\n`);
  writeAtomically(join(scratch, `${result.name}.ko`), result.module);
}

function failed(error: unknown, logFile: string | undefined): number {
  if (error instanceof Ending) {
    if (error.message !== '') die(error.message, logFile);
    if (error.usage) printError(usageText);
    return error.status;
  }
  const known =
    error instanceof KpatchError ? error : failure('internal', { problem: String(error) }, { cause: error });
  const text = renderError(known);
  if (logFile !== undefined) log(logFile, text);
  printError(`${text}\n`);
  die(sentenceOf(known), logFile);
  return 1;
}

/** The sentence that scripts search for. */
function sentenceOf(error: KpatchError): string {
  const file = error.where.file ?? '';
  const nothing = ['no-change', 'change-overridden', 'not-built'].includes(error.code);
  if (nothing) return 'no functional changes found';
  if (error.code.startsWith('patch-')) return `${file} file failed to apply`;
  return 'kpatch build failed';
}

function die(message: string, logFile: string | undefined): void {
  const more = logFile === undefined ? '' : ` Check ${logFile} for more details.`;
  printError(`ERROR: ${message}.${more}\n`);
}

function say(line: string): void {
  print(`${line}\n`);
}

function log(file: string, text: string): void {
  writeFileSync(file, `${text}\n`, { flag: 'a' });
}

if (import.meta.main) process.exitCode = await kpatchBuild(process.argv.slice(2), process.env);

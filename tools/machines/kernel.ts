/**
 * Configures and builds the small kernel of a machine (`platform/NAME/small-kernel.ts`) with the cross compiler of this machine, once: it
 * stays in the cache until its configuration, its source or the compiler changes.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { sha256 } from '#kpatch/base/digest.ts';
import { failure } from '#kpatch/base/errors/error.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { lock } from '#kpatch/base/process/lock.ts';
import { packageOf } from '#kpatch/base/process/tools.ts';
import type { Reporter } from '#kpatch/base/report.ts';
import { runOk } from '#kpatch/base/run.ts';
import { cacheRoot } from '#kpatch/base/workspace.ts';
import type { CustomParts } from '#kpatch/distro/custom/custom.ts';
import { debianArchive } from '#kpatch/distro/debian/record.ts';
import { commonOptions, configurationText, type SmallKernel } from '#kpatch/platform/common/small-kernel.ts';
import type { Platform } from '#kpatch/platform/platform.ts';
import { packagesFolder } from '#kpatch/prepare/cache.ts';
import { unpackSource } from '#kpatch/prepare/offer/source-tree.ts';
import { versionText } from '#kpatch/toolchain/compiler.ts';

/** Where the source comes from: the first version with live patches on all machines that have a record. */
const SOURCE = { version: '14', package: 'linux-source-7.2' } as const;

/** Raised when kernels are built in another way. */
const FORMAT = 1;

/** A kernel takes minutes on an idle machine. */
const BUILD_MS = 3 * 3_600_000;

export interface BuiltKernel {
  readonly platform: Platform;
  readonly release: string;
  /** As `--image`, `--headers`, `--source` and `--modules` take them. */
  readonly parts: CustomParts & { readonly modules: string };
  /** Milliseconds that the build took, whenever that was. */
  readonly ms: number;
}

export interface KernelOptions {
  readonly report: Reporter;
  readonly allowExpired?: boolean;
  /** Only looks: undefined if the kernel would have to be built. */
  readonly onlyCached?: boolean;
}

/** The folder of all such kernels and their source. */
export function machinesFolder(): string {
  return join(cacheRoot(), 'machines');
}

/**
 * The kernel of a machine, from the cache or built now. Errors: `tool-missing` without the cross compiler, `tool-failed`, those of
 * fetching the source.
 */
export async function smallKernel(platform: Platform, options: KernelOptions): Promise<BuiltKernel | undefined> {
  const { naming, smallKernel: wanted } = platform;
  if (wanted === undefined) return undefined;
  const compiler = `${naming.triple}-gcc`;
  const text = await versionText(compiler);
  if (text === undefined) {
    if (options.onlyCached === true) return undefined;
    throw failure('tool-missing', { tool: compiler, package: packageOf(compiler) });
  }
  const key = sha256(JSON.stringify([FORMAT, SOURCE, configurationOf(wanted), wanted.target, text])).slice(0, 12);
  const folder = join(machinesFolder(), `${naming.uname}-${key}`);
  const known = read(platform, wanted, folder);
  if (known !== undefined || options.onlyCached === true) return known;
  mkdirSync(machinesFolder(), { recursive: true });
  using _held = await lock(`${folder}.lock`, `the kernel for ${naming.uname}`, { waitMs: BUILD_MS });
  const made = read(platform, wanted, folder);
  if (made !== undefined) return made;
  const source = await sourceFolder(options);
  await build(platform, wanted, folder, source, options.report);
  return read(platform, wanted, folder);
}

function configurationOf({ options }: SmallKernel): string {
  return `CONFIG_LOCALVERSION="-kpatch"\n${configurationText([...commonOptions, ...options])}`;
}

/** Written last: a folder with it is complete. */
interface Record {
  readonly source: string;
  readonly ms: number;
}

function read(platform: Platform, { image }: SmallKernel, folder: string): BuiltKernel | undefined {
  const file = join(folder, 'kernel.json');
  if (!existsSync(file)) return undefined;
  const { source, ms } = JSON.parse(readFileSync(file, 'utf8')) as Record;
  const installed = join(folder, 'lib/modules');
  const [release = ''] = readdirSync(installed);
  const parts = { image: join(folder, 'built', image), headers: join(folder, 'built'), source };
  return { platform, release, parts: { ...parts, modules: join(installed, release) }, ms };
}

/** The unpacked source of Debian's newest package. */
async function sourceFolder({ report, allowExpired = false }: KernelOptions): Promise<string> {
  const context = { report, packages: packagesFolder(), cache: cacheRoot() };
  const archive = await debianArchive(SOURCE.version, { allowExpired }, context);
  const stanza = await archive.candidate(SOURCE.package);
  if (stanza === undefined) {
    throw failure('kernel-part-missing', { release: SOURCE.package, part: 'source', package: SOURCE.package });
  }
  const folder = join(machinesFolder(), `source-${stanza.Version}`);
  using _held = await lock(`${folder}.lock`, 'the source of the kernels for other machines', { waitMs: 900_000 });
  if (existsSync(folder)) return folder;
  const path = await archive.fetch(stanza, context);
  await report.stage(`unpack ${SOURCE.package}`, async () => {
    using unfinished = temporaryFolder('.unfinished-', machinesFolder());
    const tree = join(unfinished.path, 'tree');
    await unpackSource({ kind: 'deb', path }, tree);
    await runOk('chown', ['-R', `${process.getuid!()}:${process.getgid!()}`, tree]);
    renameSync(tree, folder);
  });
  return folder;
}

async function build(
  { naming }: Platform,
  wanted: SmallKernel,
  folder: string,
  source: string,
  report: Reporter,
): Promise<void> {
  const built = join(folder, 'built');
  mkdirSync(built, { recursive: true });
  const start = performance.now();
  await report.stage(`build a kernel for ${naming.uname}`, async (update) => {
    const make = async (...targets: string[]): Promise<void> => {
      const machine = [`ARCH=${naming.kernel}`, `CROSS_COMPILE=${naming.triple}-`];
      const args = [`-j${availableParallelism()}`, `O=${built}`, ...machine, ...targets];
      const onLine = (line: string): void => update(line.trim().slice(0, 60));
      await runOk('make', args, { cwd: source, timeoutMs: BUILD_MS, onLine });
    };
    await make('tinyconfig');
    const fragment = configurationOf(wanted);
    writeFileSync(join(built, 'fragment'), fragment);
    const merge = join(source, 'scripts/kconfig/merge_config.sh');
    await runOk(merge, ['-m', '.config', 'fragment'], { cwd: built });
    await make('olddefconfig');
    requireOptions(fragment, join(built, '.config'));
    await make(wanted.target, 'modules');
    await make('modules_install', `INSTALL_MOD_PATH=${folder}`, 'DEPMOD=true');
  });
  const ms = Math.round(performance.now() - start);
  writeFileSync(join(folder, 'kernel.json'), `${JSON.stringify({ source, ms } satisfies Record)}\n`);
}

/** What Kconfig dropped without a word would show much later. */
function requireOptions(fragment: string, config: string): void {
  const lines = new Set(readFileSync(config, 'utf8').split('\n'));
  const dropped = fragment.split('\n').filter((line) => /=[ym]$/.test(line) && !lines.has(line));
  if (dropped.length > 0) throw new Error(`${config}: these options depend on others: ${dropped.join(', ')}`);
}

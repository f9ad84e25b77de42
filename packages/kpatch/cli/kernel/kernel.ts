/** `kpatch kernel`: manages the prepared kernels. */
import type { Command } from 'commander';
import { failure } from '../../base/errors/error.ts';
import type { CustomParts } from '../../distro/custom/custom.ts';
import { KernelModules } from '../../kernel/modules.ts';
import type { TargetKernel } from '../../kernel/target.ts';
import { cachedReleases } from '../../prepare/cache.ts';
import { prepareCustomKernel, prepareKernel } from '../../prepare/kernel.ts';
import { describedKernel, inspectCached } from '../../prepare/manifest.ts';
import { versionText } from '../../prepare/offer/source-version.ts';
import { removeKernel } from '../../prepare/remove.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { type KernelSourceOptions, kernelSource, withKernelSource } from './kernel-options.ts';

export function register(program: Command): void {
  const kernel = program.command('kernel').description('manage the kernels prepared for building live patches');
  const add = kernel
    .command('add [RELEASE]')
    .description('find or download a kernel and prepare it (default: the running one, or else the newest available)')
    .option('--image <file>', 'vmlinuz or vmlinux of a custom kernel; needs --headers and --source')
    .option('--headers <dir>', 'its folder for building modules: .config, Module.symvers, generated headers')
    .option('--source <path>', 'its source: a folder or a tar archive')
    .option('--modules <dir>', 'its modules: /lib/modules/RELEASE')
    .option('--debug-image <file>', 'its vmlinux with symbols')
    .option('--no-sandbox', 'run programs on patches and packages with all your rights (dangerous)')
    .option('--json', 'print JSON');
  withKernelSource(add).action(action(addKernel));
  kernel.command('list').description('list the prepared kernels').option('--json', 'print JSON').action(action(list));
  kernel
    .command('show <RELEASE>')
    .description('show the parts of a prepared kernel and whether they are unchanged')
    .option('--modules', 'also list its modules')
    .option('--json', 'print JSON')
    .action(action(show));
  kernel
    .command('remove <RELEASE>')
    .description('remove a prepared kernel from the cache')
    .option('--packages', 'also remove the packages downloaded for it')
    .option('--json', 'print JSON')
    .action(action(remove));
}

async function addKernel(
  { report }: Context,
  options: Partial<CustomParts> & KernelSourceOptions,
  release?: string,
): Promise<Outcome> {
  const custom = customParts(options);
  const kernel = await (custom === undefined
    ? prepareKernel(release, { ...kernelSource(options), report })
    : prepareCustomKernel(custom, { report }));
  return {
    schema: 'kpatch.kernel/1',
    data: { kernel },
    text: `${kernel.release} is ready: ${kernel.paths.root}`,
    next: [{ run: `kpatch build -k ${kernel.release} PATCH`, what: 'build a live patch for it' }],
  };
}

/**
 * The kernel parts given by options; undefined if none is given.
 * Error: `usage` if only some of --image, --headers and --source are given.
 */
export function customParts(options: Partial<CustomParts>): CustomParts | undefined {
  const { image, headers, source, modules, debugImage } = options;
  if ([image, headers, source, modules, debugImage].every((part) => part === undefined)) return undefined;
  if (image === undefined || headers === undefined || source === undefined) {
    throw failure('usage', { problem: 'give --image, --headers and --source together' });
  }
  return {
    image,
    headers,
    source,
    ...(modules === undefined ? {} : { modules }),
    ...(debugImage === undefined ? {} : { debugImage }),
  };
}

function list(): Outcome {
  const kernels = cachedReleases().map((release) => {
    const kernel = describedKernel(release);
    return kernel === undefined
      ? { release, state: 'incomplete' as const }
      : { release, state: 'ready' as const, version: kernel.sourceVersion, distribution: kernel.distribution };
  });
  const lines = kernels.map(({ release, state, ...rest }) =>
    [release.padEnd(28), state.padEnd(11), 'version' in rest ? `${rest.distribution} ${rest.version}` : '']
      .join(' ')
      .trimEnd(),
  );
  const text = lines.length === 0 ? 'No kernel is prepared. Run: kpatch kernel add' : lines.join('\n');
  return { schema: 'kpatch.kernels/1', data: { kernels }, text };
}

async function show(_context: Context, options: { modules?: boolean }, release: string): Promise<Outcome> {
  const kernel = describedKernel(release);
  if (kernel === undefined) throw failure('kernel-not-prepared', { release });
  const state = await inspectCached(release);
  const modules = new KernelModules(kernel).names.sort();
  const unchanged = state.state === 'complete';
  const changed = state.state === 'damaged' ? state.file : undefined;
  const lines = describe(kernel, modules.length, changed);
  if (options.modules === true) lines.push('', ...modules);
  return {
    schema: 'kpatch.kernel/1',
    data: {
      kernel,
      unchanged,
      ...(changed === undefined ? {} : { changed }),
      ...(options.modules === true ? { modules } : {}),
    },
    text: lines.join('\n'),
  };
}

function describe(kernel: TargetKernel, modules: number, changed: string | undefined): string[] {
  const rows: [string, string][] = [
    ['release', kernel.release],
    ['source', `${kernel.distribution} ${kernel.sourceVersion} (Linux ${versionText(kernel.version)})`],
    ['build-id', kernel.buildId ?? 'none'],
    ['compiler', `${kernel.compiler.builtBy} (here: ${kernel.compiler.command})`],
    ['live patches', kernel.livepatch ? 'yes' : 'no: built without CONFIG_LIVEPATCH'],
    ['modules', String(modules)],
    ['folder', kernel.paths.root],
    ['state', changed === undefined ? 'ready' : `modified (${changed}); kpatch prepares it again on next use`],
    ...kernel.packages.map(({ name, version }, i): [string, string] => [
      i === 0 ? 'packages' : '',
      `${name} ${version}`,
    ]),
  ];
  return rows.map(([name, value]) => `${name.padEnd(13)} ${value}`);
}

async function remove(_context: Context, options: { packages?: boolean }, release: string): Promise<Outcome> {
  await removeKernel(release, { packages: options.packages === true });
  return { schema: 'kpatch.kernel-removed/1', data: { release }, text: `removed ${release} from the cache` };
}

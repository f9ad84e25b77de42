/** From a release to a prepared target kernel. */
import { existsSync, mkdirSync, statfsSync } from 'node:fs';
import { release as runningRelease } from 'node:os';
import { join } from 'node:path';
import { fail } from '../errors/error.ts';
import { readBytes, writeAtomically } from '../util/files.ts';
import { lock } from '../util/lock.ts';
import type { Reporter } from '../util/report.ts';
import { runOk } from '../util/run.ts';
import { cachedReleases, kernelFolder, kernelLock, packagesFolder, removeFolder } from './cache.ts';
import { compilerOf } from './compiler.ts';
import { type KernelConfig, readConfig } from './config.ts';
import { debianProvider } from './debian.ts';
import { KernelImage } from './image.ts';
import { readKallsyms } from './kallsyms.ts';
import { writeKallsyms } from './kallsyms-file.ts';
import { describedKernel, inspectCached, writeManifest } from './manifest.ts';
import { unpackImage } from './payload.ts';
import { prepareTree } from './prepare.ts';
import type { KernelOffer, KernelProvider, ProviderContext, UnpackedParts } from './provider.ts';
import { parseRelease } from './release.ts';
import { unpackSource } from './source-tree.ts';
import { builtVersionOf, sourceVersionOf, versionText } from './source-version.ts';
import type { KernelCompiler, TargetKernel } from './target.ts';

export interface PrepareKernelOptions {
  readonly report: Reporter;
  /** Asked in this order; the first that knows the release delivers it. */
  readonly providers?: readonly KernelProvider[];
}

const standardProviders: readonly KernelProvider[] = [debianProvider];

/** Bytes that a prepared kernel needs while it is made: source 1.5 GB, image and modules 0.5 GB, the tools. */
const NEEDED_BYTES = 3e9;
/** How long to wait for another kpatch that prepares the same kernel. */
const WAIT_MS = 900_000;

/**
 * The prepared kernel for a release: from the cache where it is complete and undamaged, else found or fetched and prepared.
 * Without a release: the running kernel if a provider knows it and it can load live patches, else the newest that one offers.
 * Errors: `kernel-unknown`, `kernel-part-missing`, `kernel-download`, `kernel-release-mismatch`, `kernel-source-mismatch`,
 * `kernel-no-livepatch`, `kernel-prepare-failed`, `kernel-config-drift`, `disk-full`.
 */
export async function prepareKernel(release: string | undefined, options: PrepareKernelOptions): Promise<TargetKernel> {
  const { report, providers = standardProviders } = options;
  const context: ProviderContext = { report, packages: packagesFolder() };
  const wanted = release ?? (await defaultRelease(providers, context));
  if (parseRelease(wanted) === undefined) throw await unknown(wanted, providers, context);
  const first = await inspectCached(wanted);
  if (first.state === 'complete') return first.kernel;
  using _held = await lock(kernelLock(wanted), `the kernel ${wanted}`, {
    waitMs: WAIT_MS,
    onWait: () => report.note(`another kpatch prepares ${wanted}; waiting for it`),
  });
  const state = await inspectCached(wanted);
  if (state.state === 'complete') return state.kernel;
  if (state.state === 'damaged')
    report.warn(`the prepared kernel ${wanted} was changed (${state.file}); it is prepared again`);
  const offer = await offerFor(wanted, providers, context);
  await removeFolder(kernelFolder(wanted));
  return await prepareOffer(offer, context); // awaited: the lock is released when this function is left
}

async function defaultRelease(providers: readonly KernelProvider[], context: ProviderContext): Promise<string> {
  const running = runningRelease();
  if (describedKernel(running) !== undefined) return running;
  for (const provider of providers) {
    if (existsSync('/sys/kernel/livepatch') && (await provider.find(running, context)) !== undefined) return running;
    const newest = await provider.newest(context);
    if (newest !== undefined) return newest;
  }
  throw await unknown('(the newest)', providers, context);
}

async function offerFor(
  release: string,
  providers: readonly KernelProvider[],
  context: ProviderContext,
): Promise<KernelOffer> {
  for (const provider of providers) {
    const offer = await provider.find(release, context);
    if (offer !== undefined) return offer;
  }
  throw await unknown(release, providers, context);
}

async function unknown(
  release: string,
  providers: readonly KernelProvider[],
  context: ProviderContext,
): Promise<Error> {
  const lists = await Promise.all(providers.map((provider) => provider.known(context).catch(() => [])));
  const known = [...new Set([...cachedReleases(), ...lists.flat()])];
  return fail('kernel-unknown', { release: JSON.stringify(release), known: known.slice(-12).join(', ') || 'none' });
}

async function prepareOffer(offer: KernelOffer, { report }: ProviderContext): Promise<TargetKernel> {
  const { release } = offer;
  const folder = kernelFolder(release);
  const root = join(folder, 'root');
  const tree = join(folder, 'tree');
  mkdirSync(folder, { recursive: true });
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize < NEEDED_BYTES) throw fail('disk-full', { file: folder });
  const source = await offer.fetch();
  const parts = await report.stage(`unpack ${release}`, async (update) => {
    update('image, headers, modules, source');
    const [unpacked] = await Promise.all([offer.unpack(root), unpackSource(source, tree)]);
    return unpacked;
  });
  const config = join(parts.headers, '.config');
  const settings = readConfig(config);
  const compiler = await compilerOf(settings);
  checkParts(release, parts, tree);
  const kernel = await report.stage(`prepare ${release}`, async (update) => {
    const [described] = await Promise.all([
      describe(offer, parts, folder, settings, compiler),
      prepareTree({ release, headers: parts.headers, tree, sourceArch: 'x86', compiler: compiler.command, update }),
    ]);
    return described;
  });
  await runOk('chmod', ['-R', 'a-w', root, tree]);
  await writeManifest(kernel);
  return kernel;
}

/** Looks into the image; keeps vmlinux and its symbols beside the tree. */
async function describe(
  offer: KernelOffer,
  parts: UnpackedParts,
  folder: string,
  settings: KernelConfig,
  compiler: KernelCompiler,
): Promise<TargetKernel> {
  const { release } = offer;
  const vmlinux = join(folder, 'vmlinux');
  const kallsyms = join(folder, 'kallsyms');
  const image = new KernelImage(await unpackImage(readBytes(parts.image), parts.image), parts.image);
  const found = /^Linux version (\S+)/.exec(image.banner ?? '')?.[1];
  if (found !== undefined && found !== release) {
    throw fail('kernel-release-mismatch', { part: 'image', found, wanted: release }, { where: { file: parts.image } });
  }
  writeAtomically(vmlinux, image.bytes, 0o444);
  writeKallsyms(kallsyms, readKallsyms(image));
  return {
    release,
    version: sourceVersionOf(join(folder, 'tree')),
    arch: 'x86_64',
    distribution: offer.distribution,
    sourceVersion: offer.sourceVersion,
    packages: offer.packages,
    paths: {
      root: folder,
      tree: join(folder, 'tree'),
      headers: parts.headers,
      config: join(parts.headers, '.config'),
      symvers: join(parts.headers, 'Module.symvers'),
      image: parts.image,
      vmlinux,
      kallsyms,
      modules: parts.modules,
      debugImage: parts.debugImage,
    },
    compiler,
    buildId: image.buildId,
    livepatch: settings.has('LIVEPATCH'),
    banner: image.banner,
  };
}

/** Image, headers and source must be of one build, whatever the names of their files say. */
function checkParts(release: string, parts: UnpackedParts, tree: string): void {
  const header = join(parts.headers, 'include/generated/utsrelease.h');
  const found = existsSync(header) ? /UTS_RELEASE\s+"([^"]*)"/.exec(readBytes(header).toString())?.[1] : undefined;
  if (found !== undefined && found !== release) {
    throw fail('kernel-release-mismatch', { part: 'headers', found, wanted: release }, { where: { file: header } });
  }
  const built = builtVersionOf(parts.headers);
  const source = sourceVersionOf(tree);
  if (built !== undefined && versionText(built) !== versionText(source)) {
    throw fail('kernel-source-mismatch', { found: versionText(source), wanted: versionText(built) });
  }
}

/** Ends with `kernel-no-livepatch` where no live patch can ever be loaded into this kernel. */
export function requireLivepatch(kernel: TargetKernel): void {
  if (!kernel.livepatch) throw fail('kernel-no-livepatch', { release: kernel.release, option: 'CONFIG_LIVEPATCH' });
}

/** Removes a prepared kernel. Errors: `kernel-not-prepared`, `locked` while it is being prepared. */
export async function removeKernel(release: string): Promise<void> {
  if (parseRelease(release) === undefined || !existsSync(kernelFolder(release))) {
    throw fail('kernel-not-prepared', { release });
  }
  using _held = await lock(kernelLock(release), `the kernel ${release}`);
  await removeFolder(kernelFolder(release));
}

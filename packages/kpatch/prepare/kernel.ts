/** From a release to a prepared target kernel. */
import { basename } from 'node:path';
import { failure, KpatchError } from '../base/errors/error.ts';
import { plural } from '../base/errors/plural.ts';
import { type Lock, lock } from '../base/process/lock.ts';
import type { Reporter } from '../base/report.ts';
import { cacheRoot, isSandboxed } from '../base/workspace.ts';
import { type CustomParts, checkDebugImage, customOffer } from '../distro/custom/custom.ts';
import type { DistributionRelease } from '../distro/distribution.ts';
import type { KernelOffer, ProviderContext } from '../distro/provider.ts';
import { parseDistribution, releaseOfKernel } from '../distro/registry.ts';
import { readConfig } from '../kernel/config.ts';
import { parseRelease } from '../kernel/release.ts';
import type { TargetKernel } from '../kernel/target.ts';
import { wantedCompiler } from '../toolchain/compiler.ts';
import { buildRoot } from './build-root.ts';
import {
  awaitWriters,
  cachedReleases,
  derivedFolders,
  emptyTrash,
  kernelFolder,
  kernelLock,
  noteUse,
  packagesFolder,
  packagesLock,
  removeFolder,
} from './cache.ts';
import { defaultRelease, offerFor, type Providing, providersFor, unknown } from './choice.ts';
import { limitsFile, readLimits, sizeText } from './disk/limits.ts';
import { pruneCache } from './disk/prune.ts';
import { KernelFacts } from './facts.ts';
import { describedKernel, inspectCached, inspectInTwo } from './manifest.ts';
import { prepareOffer, type Toolchain } from './offer/prepare-offer.ts';

export interface PrepareKernelOptions extends Providing {
  /**
   * Takes the rest of the inspection of a kernel from the cache, which goes on while the caller works: the first file that was
   * changed, if any. The caller must then discard its work and call `prepareKernel` again without this.
   */
  readonly defer?: (changed: Promise<string | undefined>) => void;
}

/** How long to wait for another kpatch that prepares the same kernel. */
const WAIT_MS = 900_000;

/**
 * The prepared kernel for a release: from the cache where it is complete and undamaged, else found or fetched and prepared.
 * Without a release: the running kernel if a provider knows it and it can load live patches, else the newest that one offers.
 * Errors: `distribution-…` for the archive of another release, `kernel-unknown`,
 * `kernel-part-missing`, `kernel-download`, `kernel-release-mismatch`, `kernel-source-mismatch`,
 * `kernel-no-livepatch`, `kernel-prepare-failed`, `kernel-config-drift`, `disk-full`.
 */
export async function prepareKernel(release: string | undefined, options: PrepareKernelOptions): Promise<TargetKernel> {
  const { report } = options;
  const providers = providersFor(release, options);
  const context: ProviderContext = { report, packages: packagesFolder(), cache: cacheRoot() };
  const wanted = release ?? (await defaultRelease(providers, context));
  if (parseRelease(wanted) === undefined) throw await unknown(wanted, providers, context);
  const kernel = await prepared(
    wanted,
    () => offerFor(wanted, providers, context),
    toolchainOf(wanted, options),
    options,
  );
  return await withBuildRoot(kernel, options);
}

/**
 * The prepared kernel of parts that the user gives: a kernel built by hand or of a distribution without a provider.
 * Errors: as `prepareKernel`, and `kernel-image-format`, `file-unreadable` for the parts.
 */
export async function prepareCustomKernel(parts: CustomParts, { report }: { report: Reporter }): Promise<TargetKernel> {
  const offer = await customOffer(parts);
  const local: Toolchain = { origin: undefined, buildRoot: () => Promise.resolve(undefined) };
  const kernel = await prepared(offer.key, () => Promise.resolve(offer), local, { report });
  // On every use: what is in the cache was prepared without it, or with another.
  if (parts.debugImage !== undefined) await checkDebugImage(parts.debugImage, kernel);
  return kernel;
}

/**
 * The kernel that a module was built for: a prepared custom kernel with its build-id, else as `prepareKernel`. A module that does not say
 * its build-id gets the only custom kernel of its release, unless that release itself is prepared. Errors: as `prepareKernel`.
 */
export async function kernelOfModule(
  { release, buildId }: { readonly release: string; readonly buildId: string | undefined },
  options: PrepareKernelOptions,
): Promise<TargetKernel> {
  const keys = cachedReleases().filter((key) => key.startsWith(`${release}~`));
  const described = keys.map((key) => ({ key, kernel: describedKernel(key) }));
  const known = described.filter(({ kernel }) => kernel !== undefined);
  const same = known.filter(({ kernel }) => buildId !== undefined && kernel?.buildId === buildId);
  const only = buildId === undefined && known.length === 1 && describedKernel(release) === undefined ? known : [];
  const [found] = same.length > 0 ? same : only;
  if (found === undefined) return await prepareKernel(release, options);
  const state = await inspectCached(found.key);
  if (state.state === 'complete') return state.kernel;
  throw failure('kernel-not-prepared', { release: found.key });
}

/** The distribution release that a kernel belongs to; undefined if providers are given or it is unknown. */
function originOf(release: string, { providers, distribution }: PrepareKernelOptions): DistributionRelease | undefined {
  return providers === undefined ? (distribution ?? releaseOfKernel(release)) : undefined;
}

function toolchainOf(release: string, options: PrepareKernelOptions): Toolchain {
  const origin = originOf(release, options);
  const local = origin === undefined || options.localCompiler === true || !isSandboxed();
  return {
    origin: origin === undefined ? undefined : `${origin.distribution}:${origin.version}`,
    async buildRoot(compiler) {
      if (local) return undefined;
      // What is prepared serves all builds, also those that pin nothing.
      const { pins: _, ...archive } = options;
      const root = await buildRoot(origin, compiler, archive, options.report);
      return root?.folder;
    },
  };
}

/**
 * Kernels outlive build roots: one that was removed is made again. With `localCompiler`, and without a sandbox, the compiler
 * of this machine is used, which the caller compares with the kernel's.
 */
async function withBuildRoot(kernel: TargetKernel, options: PrepareKernelOptions): Promise<TargetKernel> {
  const { root, ...compiler } = kernel.compiler;
  if (root === undefined) return kernel;
  if (options.localCompiler === true || !isSandboxed()) {
    options.report.warn(
      `compiling with this machine's ${compiler.command}, not in the build root of ${kernel.release}`,
    );
    return { ...kernel, compiler };
  }
  const origin = kernel.origin === undefined ? undefined : parseDistribution(kernel.origin);
  if (origin === undefined) return kernel;
  const made = await buildRoot(origin, wantedCompiler(readConfig(kernel.paths.config)), options, options.report);
  return made === undefined ? kernel : { ...kernel, compiler: { ...kernel.compiler, root: made.folder } };
}

/** Looks into the cache; where the kernel is not there complete, prepares it under the kernel's lock. */
async function prepared(
  key: string,
  find: () => Promise<KernelOffer>,
  toolchain: Toolchain,
  { report, defer }: Pick<PrepareKernelOptions, 'report' | 'defer'>,
): Promise<TargetKernel> {
  const first = inspectInTwo(key);
  if (first.now.state === 'complete') {
    const { kernel } = first.now;
    const changed = first.listed();
    if (defer !== undefined) {
      defer(changed);
      return kernel;
    }
    if ((await changed) === undefined) return kernel;
  }
  using _held = await lock(kernelLock(key), `the kernel ${key}`, {
    waitMs: WAIT_MS,
    onWait: () => report.note(`waiting for another kpatch that is using ${key}`),
  });
  const state = await inspectCached(key);
  if (state.state === 'complete') return state.kernel;
  if (state.state === 'damaged') {
    report.warn(`the prepared kernel ${key} was modified (${state.file}); preparing it again`);
    // It may come from the modified files.
    for (const folder of derivedFolders(key)) await removeFolder(folder);
  }
  const kernel = await fetchAndPrepare(key, find, toolchain, report); // awaited: the lock is released when this function is left
  await report.stage(`index ${key}`, () => index(kernel));
  await keepLimits(report);
  return kernel;
}

async function fetchAndPrepare(
  key: string,
  find: () => Promise<KernelOffer>,
  toolchain: Toolchain,
  report: Reporter,
): Promise<TargetKernel> {
  using _packages = await lock(packagesLock(), 'the downloaded packages', { shared: true, waitMs: WAIT_MS });
  const offer = await find();
  await removeFolder(kernelFolder(key));
  await emptyTrash();
  await awaitWriters(key);
  return await prepareOffer(key, offer, toolchain, report);
}

/** A machine with limits (disk/limits.ts) is brought back under them each time the cache has grown. */
async function keepLimits(report: Reporter): Promise<void> {
  try {
    const limits = readLimits();
    if (Object.keys(limits).length === 0) return;
    const { removed, before, after } = await pruneCache(limits);
    if (removed.length === 0) return;
    report.note(
      `removed ${plural(removed.length, 'entry', 'entries')} from the cache (${sizeText(before - after)}), see ${limitsFile()}`,
    );
  } catch (error) {
    if (!(error instanceof KpatchError)) throw error;
    report.warn(`cannot apply the limits of the cache: ${error.message}`);
  }
}

/**
 * Holds a prepared kernel as long as it is used: it is neither removed nor prepared again in the meantime.
 * Errors: `kernel-not-prepared` if it was removed just before, `locked`.
 */
export async function holdKernel({ paths }: TargetKernel): Promise<Lock> {
  const key = basename(paths.root);
  const held = await lock(kernelLock(key), `the kernel ${key}`, { shared: true, waitMs: WAIT_MS });
  if (describedKernel(key) !== undefined) {
    noteUse(key);
    return held;
  }
  held.release();
  throw failure('kernel-not-prepared', { release: key });
}

/**
 * What every build needs and what follows from the tree alone is derived now, so that the first build is as fast as the
 * next. An error here would come again, with its own message, where the result is used.
 */
async function index(kernel: TargetKernel): Promise<void> {
  await new KernelFacts(kernel).includes().catch(() => undefined);
}

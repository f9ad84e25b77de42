/** From a release to a prepared target kernel. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { release as runningRelease } from 'node:os';
import { basename, join } from 'node:path';
import { failure, KpatchError } from '../base/errors/error.ts';
import { plural } from '../base/errors/plural.ts';
import { type Lock, lock } from '../base/process/lock.ts';
import type { Reporter } from '../base/report.ts';
import { cacheRoot, isSandboxed } from '../base/workspace.ts';
import { type CustomParts, checkDebugImage, customOffer } from '../distro/custom/custom.ts';
import type { ArchiveOptions, DistributionRelease } from '../distro/distribution.ts';
import type { KernelOffer, KernelProvider, ProviderContext } from '../distro/provider.ts';
import { distributionOf, machineProviders, parseDistribution, releaseOfKernel } from '../distro/registry.ts';
import { type KernelConfig, readConfig } from '../kernel/config.ts';
import { parseRelease } from '../kernel/release.ts';
import type { PackageVersion, TargetKernel } from '../kernel/target.ts';
import { platformOfConfig } from '../platform/registry.ts';
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
import { limitsFile, readLimits, sizeText } from './disk/limits.ts';
import { pruneCache } from './disk/prune.ts';
import { KernelFacts } from './facts.ts';
import { describedKernel, inspectCached, inspectInTwo } from './manifest.ts';
import { prepareOffer, type Toolchain } from './prepare-offer.ts';

/** Where a kernel and its compiler come from. */
export interface KernelSource extends ArchiveOptions {
  /** The distribution release that the kernel belongs to; without it, the name of the kernel tells. */
  readonly distribution?: DistributionRelease;
  /** Compile with the compiler of this machine instead of the one in the build root. */
  readonly localCompiler?: boolean;
}

export interface PrepareKernelOptions extends KernelSource {
  readonly report: Reporter;
  /** Asked in this order; the first that knows the release delivers it. */
  readonly providers?: readonly KernelProvider[];
  /**
   * Takes the rest of the inspection of a kernel from the cache, which goes on while the caller works: the first file that was
   * changed, if any. The caller must then discard its work and call `prepareKernel` again without this.
   */
  readonly defer?: (changed: Promise<string | undefined>) => void;
}

/** The machine's own sources first, then the archive of the distribution release that the kernel belongs to. */
function providersFor(release: string | undefined, options: PrepareKernelOptions): readonly KernelProvider[] {
  if (options.providers !== undefined) return options.providers;
  const { distribution } = options;
  if (distribution !== undefined) {
    return [distributionOf(distribution.distribution).provider(distribution.version, options)];
  }
  const own = release === undefined ? undefined : releaseOfKernel(release);
  if (own === undefined) return machineProviders;
  return [...machineProviders, distributionOf(own.distribution).provider(own.version, options)];
}

/** A lock that was just let go of takes a moment to be free. */
const REMOVE_WAIT_MS = 3000;
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

/** The running kernel where it can be patched, and what else could be built for. */
export interface TargetChoice {
  readonly running: string;
  /** Why the running kernel is not the target; undefined if it is. */
  readonly problem?: string;
  /** The other kernels: those that are prepared, then the newest that the package sources have. */
  readonly offers: readonly { readonly release: string; readonly what: string }[];
}

/** The kernel that runs here. */
export interface Running {
  readonly release: string;
  /** It can load live patches. */
  readonly capable: boolean;
}

function runningKernel(): Running {
  return { release: runningRelease(), capable: existsSync('/sys/kernel/livepatch') };
}

/** Looks at the running kernel and, only if that cannot be the target, at the others. Prepares nothing. */
export async function targetChoice(options: PrepareKernelOptions, here = runningKernel()): Promise<TargetChoice> {
  const { release: running, capable } = here;
  const providers = providersFor(undefined, options);
  const context: ProviderContext = { report: options.report, packages: packagesFolder(), cache: cacheRoot() };
  if (capable && (await isOffered(running, providers, context))) return { running, offers: [] };
  const problem = capable
    ? `the running kernel ${running} is neither prepared nor known to the package sources`
    : `the running kernel ${running} does not support live patching`;
  const prepared = cachedReleases().filter((one) => describedKernel(one)?.livepatch === true);
  const newest: string[] = [];
  for (const provider of providers) {
    const release = await provider.newest(context).catch(() => undefined);
    if (release !== undefined && !prepared.includes(release)) newest.push(release);
  }
  const offers = [
    ...prepared.map((release) => ({ release, what: 'prepared' })),
    ...[...new Set(newest)].map((release) => ({ release, what: 'the newest of the package sources' })),
  ];
  return { running, problem, offers };
}

async function isOffered(
  release: string,
  providers: readonly KernelProvider[],
  context: ProviderContext,
): Promise<boolean> {
  if (describedKernel(release) !== undefined) return true;
  for (const provider of providers) {
    const offer = await provider.find(release, context).catch(() => undefined);
    if (offer !== undefined) return true;
  }
  return false;
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
  return failure('kernel-unknown', {
    release: JSON.stringify(release),
    known: nearest(release, known),
  });
}

/** How many known releases a message lists. */
const NEAREST = 8;

/** Of the known releases those that the user may have meant: of the same flavour, and with the longest common beginning. */
function nearest(release: string, known: readonly string[]): string {
  const flavour = (text: string): string => text.replace(/^[\d.]+[\d.+~a-z]*-?[\d.]*/, '');
  const common = (text: string): number => {
    let length = 0;
    while (length < text.length && text[length] === release[length]) length++;
    return length;
  };
  const rank = (text: string): number => common(text) + (flavour(text) === flavour(release) ? 100 : 0);
  const sorted = [...known].sort((a, b) => rank(b) - rank(a) || (a < b ? 1 : -1));
  const more = sorted.length > NEAREST ? ` and ${sorted.length - NEAREST} more` : '';
  return sorted.length === 0 ? 'none' : `${sorted.slice(0, NEAREST).join(', ')}${more}`;
}

/**
 * Ends with `kernel-no-livepatch` where no live patch can ever be loaded into this kernel, and with `kernel-no-reliable-stacks` where it
 * could be loaded but its transition would never complete.
 */
export function requireLivepatch(kernel: TargetKernel): void {
  const { release, paths } = kernel;
  const config = readConfig(paths.config);
  if (!kernel.livepatch) {
    const { option, reason } = missingSupport(config);
    throw failure('kernel-no-livepatch', { release, option, reason });
  }
  // klp_have_reliable_stack() of include/linux/livepatch.h; before Linux 4.12 there was no such option.
  for (const option of ['STACKTRACE', 'HAVE_RELIABLE_STACKTRACE']) {
    if (!config.has(option)) throw failure('kernel-no-reliable-stacks', { release, option: `CONFIG_${option}` });
  }
}

/** The first option that LIVEPATCH depends on and that is not set (kernel/livepatch/Kconfig), with what that means for the vendor. */
function missingSupport(config: KernelConfig): { option: string; reason: string } {
  const machine = platformOfConfig((option) => config.has(option))?.naming.uname ?? 'this machine';
  if (!config.has('HAVE_LIVEPATCH')) {
    return { option: 'CONFIG_HAVE_LIVEPATCH', reason: `this version of Linux does not support it on ${machine}` };
  }
  const needed = ['MODULES', 'SYSFS', 'KALLSYMS_ALL', 'DYNAMIC_FTRACE'];
  const missing = [...needed.filter((option) => !config.has(option)), 'LIVEPATCH'].map((option) => `CONFIG_${option}`);
  return { option: 'CONFIG_LIVEPATCH', reason: `its vendor must enable ${missing.join(', ')}` };
}

/**
 * Removes a prepared kernel and what was derived from it; with `packages` also the packages that were downloaded for it and
 * that no other prepared kernel was made from. Errors: `kernel-not-prepared`, `locked` while it is being prepared or used.
 */
export async function removeKernel(key: string, { packages = false } = {}): Promise<void> {
  if (!cachedReleases().includes(key)) throw failure('kernel-not-prepared', { release: key });
  using _held = await lock(kernelLock(key), `the kernel ${key}`, { waitMs: REMOVE_WAIT_MS });
  const kernel = describedKernel(key);
  await removeFolder(kernelFolder(key));
  await emptyTrash();
  if (kernel === undefined) return;
  for (const folder of derivedFolders(key)) await removeFolder(folder);
  if (!packages) return;
  using _packages = await lock(packagesLock(), 'the downloaded packages', { waitMs: REMOVE_WAIT_MS });
  removePackages(kernel);
}

function removePackages({ release, packages }: TargetKernel): void {
  const id = ({ name, version }: PackageVersion): string => `${name}_${version.replace(':', '%3a')}_`;
  const others = cachedReleases().flatMap((key) => describedKernel(key)?.packages ?? []);
  const kept = new Set(others.map(id));
  const ours = packages.map(id).filter((prefix) => !kept.has(prefix));
  const folder = packagesFolder();
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    if (name === release || ours.some((prefix) => name.startsWith(prefix))) {
      rmSync(join(folder, name), { recursive: true, force: true });
    }
  }
}

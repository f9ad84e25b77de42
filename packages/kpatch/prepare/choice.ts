/** Which kernel is meant, and who delivers it. */
import { existsSync } from 'node:fs';
import { release as runningRelease } from 'node:os';
import { failure } from '../base/errors/error.ts';
import type { Reporter } from '../base/report.ts';
import { cacheRoot } from '../base/workspace.ts';
import type { ArchiveOptions, DistributionRelease } from '../distro/distribution.ts';
import type { KernelOffer, KernelProvider, ProviderContext } from '../distro/provider.ts';
import { distributionOf, machineProviders, releaseOfKernel } from '../distro/registry.ts';
import { cachedReleases, packagesFolder } from './cache.ts';
import { describedKernel } from './manifest.ts';

/** Where a kernel and its compiler come from. */
export interface KernelSource extends ArchiveOptions {
  /** The distribution release that the kernel belongs to; without it, the name of the kernel tells. */
  readonly distribution?: DistributionRelease;
  /** Compile with the compiler of this machine instead of the one in the build root. */
  readonly localCompiler?: boolean;
}

/** Who is asked for kernels. */
export interface Providing extends KernelSource {
  readonly report: Reporter;
  /** Asked in this order; the first that knows the release delivers it. */
  readonly providers?: readonly KernelProvider[];
}

/** The machine's own sources first, then the archive of the distribution release that the kernel belongs to. */
export function providersFor(release: string | undefined, options: Providing): readonly KernelProvider[] {
  if (options.providers !== undefined) return options.providers;
  const { distribution } = options;
  if (distribution !== undefined) {
    return [distributionOf(distribution.distribution).provider(distribution.version, options)];
  }
  const own = release === undefined ? undefined : releaseOfKernel(release);
  if (own === undefined) return machineProviders;
  return [...machineProviders, distributionOf(own.distribution).provider(own.version, options)];
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
export async function targetChoice(options: Providing, here = runningKernel()): Promise<TargetChoice> {
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

/**
 * The running kernel if a provider knows it and it can load live patches, else the newest that one offers. Error: `kernel-unknown`.
 */
export async function defaultRelease(providers: readonly KernelProvider[], context: ProviderContext): Promise<string> {
  const running = runningRelease();
  if (describedKernel(running) !== undefined) return running;
  for (const provider of providers) {
    if (existsSync('/sys/kernel/livepatch') && (await provider.find(running, context)) !== undefined) return running;
    const newest = await provider.newest(context);
    if (newest !== undefined) return newest;
  }
  throw await unknown('(the newest)', providers, context);
}

/** What the first provider that knows a release delivers. Error: `kernel-unknown`. */
export async function offerFor(
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

/** The error for a release that nobody knows, with those that are like it. */
export async function unknown(
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

/** The distributions that are known, and which of them a kernel belongs to. */
import { failure } from '../base/errors/error.ts';
import type { PackageVersion } from '../kernel/target.ts';
import { machineKernels } from './debian/kernels.ts';
import { debian } from './debian/record.ts';
import type { Distribution, DistributionRelease } from './distribution.ts';
import { dnfProvider } from './fedora/dnf.ts';
import { fedora, rhel } from './fedora/record.ts';
import { installedProvider } from './installed.ts';
import type { KernelProvider } from './provider.ts';
import { ubuntu } from './ubuntu/record.ts';

/** What this machine itself offers: installed kernels, then its own package sources. */
export const machineProviders: readonly KernelProvider[] = [installedProvider(), machineKernels, dnfProvider()];

const known: Distribution[] = [debian, ubuntu, fedora, rhel];

/** All distributions, those with the most packages first. */
export function distributions(): readonly Distribution[] {
  return known;
}

/** Adds a distribution until the result is disposed of. */
export function registerDistribution(distribution: Distribution): Disposable {
  known.push(distribution);
  return { [Symbol.dispose]: () => void known.splice(known.indexOf(distribution), 1) };
}

/** The record of a distribution by its ID. Error: `usage`. */
export function distributionOf(id: string): Distribution {
  const found = known.find((one) => one.id === id);
  if (found !== undefined) return found;
  const ids = known.map((one) => one.id).join(', ');
  throw failure('usage', { problem: `distribution '${id}' is not known; known are ${ids}` });
}

/** The package URL (purl) of a package of a distribution. */
export function packageUrl(distribution: string, { name, version }: PackageVersion): string {
  const type = known.find(({ id }) => id === distribution)?.packageType ?? 'generic';
  const place = type === 'generic' ? type : `${type}/${distribution}`;
  // Characters that a purl keeps as they are, and the rest percent-encoded.
  const encoded = (text: string): string => encodeURIComponent(text).replaceAll('%3A', ':');
  return `pkg:${place}/${encoded(name)}@${encoded(version)}`;
}

/** Reads `debian:11`. Error: `usage`. */
export function parseDistribution(text: string): DistributionRelease {
  const [id = '', version = ''] = text.split(':');
  const { versions } = distributionOf(id);
  if (version !== '') return { distribution: id, version };
  throw failure('usage', { problem: `give a version with the distribution, as ${id}:${versions.at(-1)}` });
}

/**
 * The distribution release that a kernel belongs to by its name; undefined if no distribution knows such names.
 * Error: `distribution-ambiguous` if two releases have kernels of this name.
 */
export function releaseOfKernel(kernel: string): DistributionRelease | undefined {
  const found = known.flatMap(({ id, versionsOf }) =>
    versionsOf(kernel).map((version) => ({ distribution: id, version })),
  );
  if (found.length < 2) return found[0];
  const names = found.map(({ distribution, version }) => `${distribution}:${version}`);
  throw failure('distribution-ambiguous', { release: kernel, distributions: names.join(', '), first: names[0]! });
}

/**
 * What the names of kernels tell, by the namings of all distributions. Apart from registry.ts, so that a command that only
 * compares versions loads no provider.
 */
import { debianNaming } from './debian/naming.ts';
import { fedoraNaming } from './fedora/naming.ts';
import type { DistributionNaming } from './naming.ts';
import { ubuntuNaming } from './ubuntu/naming.ts';

const namings: readonly DistributionNaming[] = [debianNaming, ubuntuNaming, fedoraNaming];

const alternatives = (words: readonly string[]): string => words.join('|');
const tags = alternatives(namings.flatMap((one) => one.tags ?? []));

/** The ecosystem of OSV for an ID of os-release(5); undefined if OSV has no such name. */
export function ecosystemOf(id: string): string | undefined {
  return namings.flatMap(({ osv }) => (Object.hasOwn(osv, id) ? [osv[id]!] : []))[0];
}

/** The order of versions in an ecosystem of OSV, as `Debian:12`; undefined if it is not known. */
export function packageTypeOfEcosystem(ecosystem: string): DistributionNaming['packageType'] | undefined {
  return namings.find(({ osv, otherEcosystems = [] }) =>
    new RegExp(`^(?:${alternatives([...Object.values(osv), ...otherEcosystems])})\\b`).test(ecosystem),
  )?.packageType;
}

/**
 * The version of the package in the text of /proc/version; undefined if it names none. It is in the part that `uname -v` prints, from the number of
 * the build on: the compiler's version stands before it, in the same words.
 */
export function versionInBanner(text: string): string | undefined {
  const words = alternatives(namings.flatMap(({ banner = [] }) => banner));
  return new RegExp(`#\\d.*?\\b(?:${words}) (\\d[\\w.+~:-]*)`).exec(text)?.[1];
}

/** The parts of a kernel release that is the version of its package: `5.14.0-427.13.1`, `.el9_4`, `x86_64`. */
export function taggedRelease(release: string): { version: string; tag: string; machine: string } | undefined {
  const [, version, tag, machine] =
    new RegExp(`^(\\d[\\w.]*-[\\w.]+?)(\\.(?:${tags})\\w*)\\.(\\w+)$`).exec(release) ?? [];
  return version === undefined ? undefined : { version, tag: tag!, machine: machine! };
}

/** The order that the version of a package is in: versions of rpm have a tag. */
export function packageTypeOfVersion(version: string): DistributionNaming['packageType'] {
  return new RegExp(`\\.(?:${tags})\\d`).test(version) ? 'rpm' : 'deb';
}

/** Names of changelogs of packages, the most specific first. */
export function changelogNames(): string[] {
  return [...new Set(namings.flatMap(({ changelogs = [] }) => changelogs)), 'changelog.gz'];
}

/** Folders with programs that run when a kernel is installed, by package type. */
export function kernelHookFolder(type: DistributionNaming['packageType']): string {
  return namings.find(({ packageType }) => packageType === type)!.kernelHooks;
}

/** The packages that a provenance records as its toolchain, and how those of a rebuild differ from them. */
import type { PackageVersion } from '../../kernel/target.ts';
import type { Resource } from '../../provenance/statement.ts';

/** One package of the toolchain that is not the recorded one. */
export interface ToolchainDifference {
  readonly name: string;
  /** Version; null if the package was not recorded, or is not in the build root. With equal versions the digests differ. */
  readonly recorded: string | null;
  readonly used: string | null;
}

const role = 'toolchain package';

/** True for a package of a build root. */
export function isToolchainPackage({ annotations }: Resource): boolean {
  return annotations?.role === role;
}

/** The packages of the build root, to be pinned. A resource without a version in its package URL is left out. */
export function recordedToolchain(resources: readonly Resource[]): PackageVersion[] {
  return resources.filter(isToolchainPackage).flatMap(({ name = '', uri, digest }) => {
    const version = versionOf(uri);
    if (version === undefined) return [];
    return [{ name, version, ...(digest?.sha256 === undefined ? {} : { sha256: digest.sha256 }) }];
  });
}

/** What differs, by name. */
export function toolchainDifferences(recorded: readonly Resource[], here: readonly Resource[]): ToolchainDifference[] {
  const wanted = new Map(recorded.filter(isToolchainPackage).map((one) => [one.name ?? '', one]));
  const used = new Map(here.filter(isToolchainPackage).map((one) => [one.name ?? '', one]));
  return [...new Set([...wanted.keys(), ...used.keys()])].sort().flatMap((name) => {
    const [one, other] = [wanted.get(name), used.get(name)];
    if (one !== undefined && other !== undefined && isSame(one, other)) return [];
    return [{ name, recorded: textOf(one), used: textOf(other) }];
  });
}

function isSame(one: Resource, other: Resource): boolean {
  const [a, b] = [one.digest?.sha256, other.digest?.sha256];
  return one.uri === other.uri && (a === undefined || b === undefined || a === b);
}

const textOf = (one: Resource | undefined): string | null =>
  one === undefined ? null : (versionOf(one.uri) ?? one.uri ?? 'unknown');

/** The version in a package URL (`pkg:deb/debian/NAME@VERSION`). */
function versionOf(uri: string | undefined): string | undefined {
  const encoded = /^pkg:[^@?#]+@([^?#]+)/.exec(uri ?? '')?.[1];
  try {
    return encoded === undefined ? undefined : decodeURIComponent(encoded);
  } catch {
    return undefined;
  }
}

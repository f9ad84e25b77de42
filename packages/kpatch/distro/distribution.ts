/**
 * What differs by distribution, as one record that each folder of `distro/` fills in. Stages ask these questions and know no
 * distribution. A new distribution is one folder and one line in registry.ts.
 */
import type { PackageVersion } from '../kernel/target.ts';
import type { Naming } from '../platform/naming.ts';
import type { BuildRootPlan, WantedCompiler } from '../toolchain/build-root.ts';
import type { KernelProvider, ProviderContext } from './provider.ts';

/** A release of a distribution. */
export interface DistributionRelease {
  /** `debian`. */
  readonly distribution: string;
  /** As VERSION_ID in os-release: `12`, `24.04`, `9`. */
  readonly version: string;
}

/** How the archives of a distribution are reached. */
export interface ArchiveOptions {
  /** Base URL of the archive; without it, the mirror that this machine itself uses. */
  readonly mirror?: string;
  /** Accept indexes whose date of expiry has passed. */
  readonly allowExpired?: boolean;
  /** The packages that a build root is to consist of, exactly; what the archive has now where one of them is gone. */
  readonly pins?: readonly PackageVersion[];
}

export interface Distribution {
  /** ID in os-release(5). */
  readonly id: string;
  readonly title: string;
  /** Type of its package URLs (purl). */
  readonly packageType: 'deb' | 'rpm';
  /** Versions that are known, oldest first. */
  readonly versions: readonly string[];
  /** The versions that have kernels of such a name (`+deb13`, `.el9`); usually one or none. */
  versionsOf(kernelRelease: string): readonly string[];
  /**
   * A provider of the kernels of one version, from that version's own archive. The package sources of this machine stay
   * untouched. Errors: `distribution-mirror`, `distribution-keyring`, `usage` for an unknown version.
   */
  provider(version: string, options: ArchiveOptions): KernelProvider;
  /**
   * The programs that build a kernel of this version, as packages of that version; undefined if the distribution has no
   * build roots yet. Errors: as `provider`, `kernel-download`, `kernel-part-missing`.
   */
  buildRoot?(
    version: string,
    compiler: WantedCompiler,
    options: ArchiveOptions,
    context: ProviderContext,
  ): Promise<BuildRootPlan>;
  /**
   * Unpacks packages of another machine below `folder`; false if the distribution does not have them all for that machine. Absent for
   * distributions whose packages cannot be taken apart here. Errors: as `provider`, `kernel-download`.
   */
  foreignPackages?(
    machine: Naming,
    names: readonly string[],
    folder: string,
    context: ProviderContext,
  ): Promise<boolean>;
}

/** How a distribution names its kernels to others: in advisories, banners and package versions. Each folder fills in one. */
export interface DistributionNaming {
  readonly packageType: 'deb' | 'rpm';
  /** ID in os-release(5) → name of its ecosystem in OSV records. */
  readonly osv: Readonly<Record<string, string>>;
  /** Further ecosystems of OSV that use the same order of versions. */
  readonly otherEcosystems?: readonly string[];
  /** The word before the version of the package in /proc/version. */
  readonly banner?: string;
  /** Tags behind the release of a package, without the number: `el` of `.el9_4`. */
  readonly tags?: readonly string[];
  /** Names of changelogs in `/usr/share/doc/PACKAGE`. */
  readonly changelogs?: readonly string[];
  /** Where programs lie that run when a kernel is installed, below the root folder. */
  readonly kernelHooks: string;
}

/**
 * Where kernels come from: each provider finds the parts of one release and lays them out as if installed below a folder.
 */
import type { Reporter } from '../base/report.ts';
import type { PackageVersion } from '../kernel/target.ts';

/** What a provider may use. */
export interface ProviderContext {
  readonly report: Reporter;
  /** Folder for downloaded packages, kept between runs and shared by all kernels. */
  readonly packages: string;
  /** The cache: providers keep package lists there. */
  readonly cache: string;
}

/** The parts after unpacking; absolute paths. */
export interface UnpackedParts {
  readonly image: string;
  /** The folder that `make -C … M=` takes. */
  readonly headers: string;
  readonly modules: string | undefined;
}

/** Where the source is: `deb`, a package whose `usr/src/…tar.xz` it is; `archive`, a tar file; `folder`, unpacked. */
export interface SourceParts {
  readonly kind: 'deb' | 'archive' | 'folder';
  readonly path: string;
  /** Patch files of the vendor that are applied to it in this order, with `-p1`. */
  readonly patches?: readonly string[];
}

/** A kernel that a provider can deliver. */
export interface KernelOffer {
  readonly release: string;
  readonly distribution: string;
  readonly sourceVersion: string;
  readonly packages: readonly PackageVersion[];
  /** Bytes that unpacking needs, where they are far from those of a whole kernel. */
  readonly neededBytes?: number;
  /** Gets what must be downloaded and says where the source is; what is there already is not fetched again. */
  fetch(): Promise<SourceParts>;
  /** Fills `root` with image, headers and modules, laid out as on an installed system. */
  unpack(root: string): Promise<UnpackedParts>;
}

export interface KernelProvider {
  readonly name: string;
  /** The newest release that it would install by default; undefined if it knows none. */
  newest(context: ProviderContext): Promise<string | undefined>;
  /**
   * The offer for a release; undefined if it does not know the release. Errors: `kernel-part-missing` if it knows only a
   * part.
   */
  find(release: string, context: ProviderContext): Promise<KernelOffer | undefined>;
  /** Releases that it knows, for messages; a few are enough. */
  known(context: ProviderContext): Promise<readonly string[]>;
}

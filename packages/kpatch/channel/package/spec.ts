/** What goes into a package, whatever its format. */
import { sourceDateEpoch } from '../../base/workspace.ts';

export interface PackageSpec {
  readonly debName: string;
  readonly rpmName: string;
  readonly version: string;
  readonly debRelease: string;
  readonly rpmRelease: string;
  /** Like `uname -m`, or `noarch`. */
  readonly arch: string;
  readonly summary: string;
  /** Lines of prose, none of them empty. */
  readonly description: readonly string[];
  /** Names of packages, the same in both formats. */
  readonly depends: readonly string[];
  /** Paths in the machine and their bytes. */
  readonly files: ReadonlyMap<string, Uint8Array | string>;
  /** Files of these that an administrator may change. */
  readonly configFiles: readonly string[];
}

/** Packages get the time of SOURCE_DATE_EPOCH (seconds), else a fixed one, so that the same inputs give the same bytes. */
export function packageTime(): number {
  return sourceDateEpoch() ?? Date.UTC(2026, 0, 1) / 1000;
}

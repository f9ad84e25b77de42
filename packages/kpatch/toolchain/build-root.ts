/**
 * A build root: the compiler and the tools that built a kernel, from the kernel's own distribution release, unpacked into a
 * folder. Packages are unpacked, never configured, so no maintainer script runs. Programs in a build root run in the sandbox,
 * which shows the folder as `/usr`.
 */
import type { PackageVersion } from '../kernel/target.ts';

/** What a build root consists of, before it exists. */
export interface BuildRootPlan {
  readonly packages: readonly PackageVersion[];
  /** Downloads what is missing; paths of package files. Errors: `kernel-download`, `disk-full`. */
  fetch(): Promise<readonly string[]>;
  /** Unpacks the files and adds what maintainer scripts would have made. Errors: `tool-failed`, `disk-full`. */
  unpack(files: readonly string[], folder: string): Promise<void>;
}

/** A build root that is ready. */
export interface BuildRoot {
  readonly folder: string;
  /** Like `debian-12-gcc-12.2.0-14+deb12u1`. */
  readonly key: string;
  readonly packages: readonly PackageVersion[];
}

/** A compiler as a kernel's configuration names it. */
export interface WantedCompiler {
  readonly family: 'gcc' | 'clang';
  /** `12`; undefined if the kernel does not say. */
  readonly major: string | undefined;
  /** CONFIG_CC_VERSION_TEXT. */
  readonly text: string;
}

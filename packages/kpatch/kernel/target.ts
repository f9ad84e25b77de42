/** A target kernel: one release of one distribution, prepared so that single files can be compiled for it. */
import type { KernelVersion } from './release.ts';

export interface PackageVersion {
  readonly name: string;
  readonly version: string;
  /** SHA-256 of the package file; absent if it was never at hand. */
  readonly sha256?: string;
}

/** Absolute paths of the parts of a prepared kernel. Callers must not write to them. */
export interface KernelPaths {
  /** The kernel's folder in the cache; everything else is below. */
  readonly root: string;
  /** The source, configured as the vendor did, with generated headers and host tools built. */
  readonly tree: string;
  /** The distribution's headers, for `make -C headers M=…`: vermagic and CRCs come from here. */
  readonly headers: string;
  readonly config: string;
  readonly symvers: string;
  /** The bootable image as the distribution ships it. */
  readonly image: string;
  /** The ELF file that was packed into the image: all code and data, no symbol table. */
  readonly vmlinux: string;
  /** The decoded table of kernel symbols, see kallsyms-file.ts. */
  readonly kallsyms: string;
  /** `/lib/modules/RELEASE` of the image package; undefined for a kernel given without modules. */
  readonly modules: string | undefined;
}

export interface KernelCompiler {
  /** The command that compiles for this kernel, as `gcc-12`. */
  readonly command: string;
  /** What the kernel was built by: CONFIG_CC_VERSION_TEXT. */
  readonly builtBy: string;
  /** What make must be told beside CC for this compiler: which linker and which assembler, where they are LLVM's. */
  readonly makeArguments: readonly string[];
  /** The folder of the build root that it is in; undefined for a compiler of this machine. */
  readonly root?: string;
}

export interface TargetKernel {
  /** Like `uname -r`: `6.1.0-56-amd64`. */
  readonly release: string;
  /** The upstream version of its source: { 6, 1, 192 }, where the release may say 6.1.0. */
  readonly version: KernelVersion;
  /** Like `uname -m`: `x86_64`. */
  readonly arch: string;
  /** As ID in os-release (`debian`), or `custom`. */
  readonly distribution: string;
  /** The version of the source that the image was built from: `6.1.192-2`. */
  readonly sourceVersion: string;
  readonly packages: readonly PackageVersion[];
  readonly paths: KernelPaths;
  readonly compiler: KernelCompiler;
  /** The distribution release that it belongs to, as `debian:12`; undefined if that is unknown. */
  readonly origin?: string;
  /** GNU build-id of the image, lower-case hexadecimal; undefined if the kernel has none. */
  readonly buildId: string | undefined;
  /** True if the configuration can load live patches (CONFIG_LIVEPATCH). */
  readonly livepatch: boolean;
  /** `UTS_VERSION` as `uname -v` prints it: `#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (…)`; undefined if unknown. */
  readonly banner: string | undefined;
}

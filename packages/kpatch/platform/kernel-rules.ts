/** Rules that depend on the version or the configuration of the target kernel. */

/** The kernel that the objects are compiled for, as far as rules depend on it. */
export interface KernelRules {
  readonly major: number;
  readonly minor: number;
  /** The value of `CONFIG_<name>`: true for y or m, false for not set, undefined where no configuration is known. */
  readonly config: (name: string) => boolean | undefined;
}

/** True where the kernel is of this version or later. */
export function since(kernel: KernelRules, major: number, minor: number): boolean {
  return kernel.major > major || (kernel.major === major && kernel.minor >= minor);
}

/** The newest kernel, for objects whose kernel is not known. */
export const newestKernel: KernelRules = { major: Number.MAX_SAFE_INTEGER, minor: 0, config: () => undefined };

/**
 * Rules that depend on the target kernel. Vendors backport, so a version number alone says little: the target's own headers
 * are asked first (kbuild/structures.ts), and a number decides only for objects without a target. Every rule on versions
 * stands here, or beside a machine's tables, next to the commit that made it.
 */

/** Where a structure of the target has its members. */
export interface StructureLayout {
  /** Bytes. */
  readonly size: number;
  /** Member → bytes from the start. Members of unnamed structures inside are among them. */
  readonly members: Readonly<Record<string, number>>;
}

/** What the target's own source and compiler say. */
export interface TargetFacts {
  /** Structures by name; those that the target does not have are absent. */
  readonly structures: Readonly<Record<string, StructureLayout>>;
  /** Features by name: whether the target has it. */
  readonly features: Readonly<Record<string, boolean>>;
  /** KSYM_NAME_LEN: bytes of a symbol's name with its end. */
  readonly symbolName: number;
}

/** The kernel that the objects are compiled for, as far as rules depend on it. */
export interface KernelRules {
  readonly major: number;
  readonly minor: number;
  /** The value of `CONFIG_<name>`: true for y or m, false for not set, undefined if no configuration is known. */
  readonly config: (name: string) => boolean | undefined;
  /** What the kernel itself says; absent for objects whose kernel is not at hand. */
  readonly target?: TargetFacts;
}

/** True if the kernel is of this version or later. */
export function since(kernel: Pick<KernelRules, 'major' | 'minor'>, major: number, minor: number): boolean {
  return kernel.major > major || (kernel.major === major && kernel.minor >= minor);
}

/** The newest kernel, for objects whose kernel is unknown. */
export const newestKernel: KernelRules = { major: Number.MAX_SAFE_INTEGER, minor: 0, config: () => undefined };

/** How a target shows that it has a feature: a structure has a member, or a file of its source has a text. */
type Evidence =
  | { readonly structure: string; readonly member: string }
  | { readonly file: string; readonly text: RegExp };

interface Feature {
  /** The release that brought it, and the commit. */
  readonly since: readonly [major: number, minor: number];
  readonly commit: string;
  readonly evidence: Evidence;
}

/** What kernels have or have not, and rules depend on. */
export const features = {
  /** klp_enable_patch registers by itself, and a patch can replace all others. */
  atomicReplace: {
    since: [5, 1],
    commit: 'e1452b607c48',
    evidence: { structure: 'klp_patch', member: 'replace' },
  },
  callbacks: {
    since: [4, 15],
    commit: '93862e385ded',
    evidence: { structure: 'klp_object', member: 'callbacks' },
  },
  states: { since: [5, 5], commit: '73727f4dafc7', evidence: { structure: 'klp_patch', member: 'states' } },
  /**
   * The module loader applies livepatch relocations for vmlinux before alternatives and the like, so that no .klp.arch is
   * needed; and relocations for a module must not refer to vmlinux.
   */
  earlyRelocations: {
    since: [5, 8],
    commit: '7c8e2bdd5f0d',
    evidence: { file: 'include/linux/livepatch.h', text: /\bklp_apply_section_relocs\b/ },
  },
  /** Relocations for a module are taken back when it is removed. */
  clearedRelocations: {
    since: [6, 3],
    commit: '0c05e7bd2d01',
    evidence: { file: 'include/linux/moduleloader.h', text: /\bclear_relocate_add\b/ },
  },
  /** MODULE_IMPORT_NS takes a string. */
  namespaceIsString: {
    since: [6, 13],
    commit: 'cdd30ebb1b9f',
    evidence: {
      file: 'include/linux/module.h',
      text: /#define\s+MODULE_IMPORT_NS\(ns\)\s+MODULE_INFO\(import_ns,\s*ns\)/,
    },
  },
} as const satisfies Readonly<Record<string, Feature>>;

export type FeatureName = keyof typeof features;

/** True if the kernel has the feature: by its own source, or else by its version. */
export function has(kernel: Pick<KernelRules, 'major' | 'minor' | 'target'>, name: FeatureName): boolean {
  const [major, minor] = features[name].since;
  return kernel.target?.features[name] ?? since(kernel, major, minor);
}

/** Bytes that a symbol's name may have: 511 since Linux 6.1 (commit b8a94bfb3395), 127 before. */
export function longestName(kernel: Pick<KernelRules, 'major' | 'minor' | 'target'>): number {
  return kernel.target === undefined ? (since(kernel, 6, 1) ? 511 : 127) : kernel.target.symbolName - 1;
}

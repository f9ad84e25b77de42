/** What the module needs of one compared unit, as plain data: the differ makes it, the module stage links it. */
import type { ElfObject, ElfSymbol, Section } from '../formats/elf/object.ts';

export interface UnitPatch {
  /** The object that is patched: `vmlinux` or a module. */
  readonly object: string;
  /** The code and data of the patch, with ordinary relocations. The receiver may change it. */
  readonly elf: ElfObject;
  readonly functions: readonly ExtractedFunction[];
  readonly relocations: readonly KernelRelocation[];
  readonly callbacks: readonly PatchCallback[];
}

/** A function that is replaced. Sizes in bytes. */
export interface ExtractedFunction {
  /** As the kernel knows it. */
  readonly name: string;
  /** See `ChangedFunction`. */
  readonly sympos: number;
  /** The new function in `elf`. */
  readonly symbol: ElfSymbol;
  readonly oldAddress: bigint;
  readonly oldSize: number;
  readonly newSize: number;
}

/** A relocation that livepatch applies, because only the kernel knows the symbol. */
export interface KernelRelocation {
  /** The section that is relocated, and where in it. */
  readonly section: Section;
  readonly offset: number;
  readonly type: number;
  readonly addend: number;
  /** The object whose loading resolves the relocation. */
  readonly object: string;
  readonly symbol: KernelReferent;
}

/** A symbol of the kernel that a livepatch relocation refers to. */
export interface KernelReferent {
  readonly name: string;
  readonly object: string;
  readonly sympos: number;
  readonly bind: number;
  readonly type: number;
  /** Where the kernel has it, if known. */
  readonly address?: bigint;
  readonly exported?: boolean;
}

/** The four callback phases (struct klp_callbacks). */
export const callbackPhases = ['pre_patch', 'post_patch', 'pre_unpatch', 'post_unpatch'] as const;

/** A function of the patch that the kernel calls. */
export interface PatchCallback {
  readonly phase: (typeof callbackPhases)[number];
  readonly symbol: ElfSymbol;
  /** Bytes of the function's entry from the symbol. */
  readonly offset: number;
}

/** Sections in which an author names callbacks (include/kpatch/kpatch-macros.h): pairs of a pointer to the function and an empty one. */
export const callbackSection = (phase: string): string => `.kpatch.callbacks.${phase}`;

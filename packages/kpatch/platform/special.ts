/**
 * Tables in which an entry describes a place in a function: alternatives, exception fixups, bug entries, jump labels, ...
 * Each entry travels with its function. What is the same on all architectures is here; each architecture adds its own.
 */
import { type KernelRules, since } from './kernel-rules.ts';

export interface SpecialSection {
  /** Name of the section; several sections of one name are one table. */
  readonly name: string;
  /** Bytes of an entry by the target kernel's sources; undefined where it is to be told from the relocations alone. */
  readonly size: number | undefined;
  /** Offset in the entry of the field whose relocation says which code the entry belongs to. */
  readonly location: number;
  /** Another field that has a relocation in every entry, which tells forms of one size apart. */
  readonly also?: number | undefined;
  /**
   * Bytes of the entry that hold the source line, which is no functional difference, or the name of the file.
   * A 16- or 32-bit field at `offset`.
   */
  readonly line?: { readonly offset: number; readonly size: number };
  /** What objtool or the linker derives from the code: it travels, but is not compared. */
  readonly derived?: boolean;
  /** A table without relocations whose entry n goes with entry n of this one (`.orc_unwind` with `.orc_unwind_ip`). */
  readonly parallel?: { readonly name: string; readonly size: number | undefined };
  /**
   * Code that stands elsewhere and belongs to the entry: the field whose relocation points to it, and the byte that says how
   * long it is, or the field whose relocation points to its end.
   */
  readonly replacement?: { readonly field: number; readonly length?: number; readonly end?: number };
  /** The key that switches the place at run time: the field whose relocation points to it, and which bits are flags. */
  readonly key?: { readonly kind: 'jump label' | 'static call'; readonly field: number; readonly flags: number };
  /** True where the entry is for the place at the function's entry that ftrace uses. */
  readonly trace?: boolean;
  /** The same table in other kernel versions: used where the entries of the object do not fit this one. */
  readonly others?: readonly SpecialSection[];
  /** True where an entry makes the kernel forbid indirect calls of the function (`.ibt_endbr_seal`). */
  readonly seals?: boolean;
}

/** Tables that several architectures share; `relative` says whether the architecture uses 32-bit relative fields there. */
export interface CommonOptions {
  readonly kernel: KernelRules;
  /** CONFIG_GENERIC_BUG_RELATIVE_POINTERS. */
  readonly relativeBugs: boolean;
  /** Bytes of an exception table entry. */
  readonly exceptionSize: number;
  /** Bytes of a jump label entry. */
  readonly jumpLabelSize: number;
}

/**
 * `__bug_table`, include/asm-generic/bug.h: address; the format where the architecture has it there (HAVE_ARCH_BUG_FORMAT, since
 * 6.19); file and line where CONFIG_DEBUG_BUGVERBOSE is set; flags. Pointers of 4 or 8 bytes, two 16-bit numbers, then
 * padding to the size of a pointer.
 */
export function bugTable({ kernel, relativeBugs }: CommonOptions): SpecialSection {
  const verbose = kernel.config('DEBUG_BUGVERBOSE') ?? true;
  const name = '__bug_table';
  const lined = (size: number, file: number, line: number): SpecialSection => ({
    name,
    size,
    location: 0,
    also: file,
    line: { offset: line, size: 2 },
  });
  const relative = [lined(12, 4, 8), { name, size: 8, location: 0 }];
  const absolute = [lined(24, 8, 16), { name, size: 16, location: 0 }];
  const [likely, others] = relativeBugs ? [relative, absolute] : [absolute, relative];
  const [first, second] = verbose ? likely : [...likely].reverse();
  const formats = verbose ? [lined(16, 8, 12), lined(32, 16, 24)] : [{ name, size: 12, location: 0 }];
  const rest = since(kernel, 6, 18) ? [...formats, second!, ...others] : [second!, ...others, ...formats];
  return { ...first!, others: rest };
}

export function exceptionTable({ exceptionSize }: CommonOptions): SpecialSection {
  // 8: two offsets. 12: and type and data. 16: two addresses, or two offsets and the distance of a handler (s390x).
  const others = [12, 16, 8].filter((size) => size !== exceptionSize);
  const version = (size: number): SpecialSection => ({ name: '__ex_table', size, location: 0 });
  return { ...version(exceptionSize), others: others.map(version) };
}

/** `__jump_table`, include/linux/jump_label.h: code, target, key; the low two bits of the key are flags. */
export function jumpTable({ jumpLabelSize }: CommonOptions): SpecialSection {
  const version = (size: number): SpecialSection => ({
    name: '__jump_table',
    size,
    location: 0,
    key: { kind: 'jump label', field: size === 16 ? 8 : 16, flags: 3 },
  });
  return { ...version(jumpLabelSize), others: [version(jumpLabelSize === 16 ? 24 : 16)] };
}

/** `.static_call_sites`, include/linux/static_call_types.h: address, key with two flag bits; since 5.10. */
export const staticCallSites: SpecialSection = {
  name: '.static_call_sites',
  size: 8,
  location: 0,
  key: { kind: 'static call', field: 4, flags: 3 },
};

export const mcountTable: SpecialSection = { name: '__mcount_loc', size: 8, location: 0, trace: true, derived: true };

export const patchableEntries: SpecialSection = {
  name: '__patchable_function_entries',
  size: 8,
  location: 0,
  trace: true,
  derived: true,
};

/**
 * The index of printk's formats (CONFIG_PRINTK_INDEX, since 5.15): pointers to struct pi_entry. Only debugfs shows it.
 */
export const printkIndex: SpecialSection = { name: '.printk_index', size: 8, location: 0, derived: true };

/** A table of 32-bit relative addresses of instructions that objtool found (`.return_sites` and its like). */
export function sites(name: string): SpecialSection {
  return { name, size: 4, location: 0, derived: true };
}

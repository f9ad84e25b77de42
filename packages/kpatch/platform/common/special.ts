/**
 * Tables in which an entry describes a place in a function: alternatives, exception fixups, bug entries, jump labels, ...
 * Each entry is included with its function. What is the same on all architectures is here; each architecture adds its own.
 */
import { type KernelRules, since } from '../kernel-rules.ts';

/** A field of an entry that holds an address or a distance, so that each entry has a relocation there. */
export interface Field {
  /** Bytes from the start of the entry. */
  readonly at: number;
  readonly bytes: 4 | 8;
  /** True if some entries have a constant there instead. */
  readonly optional?: boolean;
  /** What the field refers to, where forms differ in nothing else: code of the same object, or a function of another. */
  readonly to?: 'code' | 'another object';
}

export interface SpecialSection {
  /** Name of the section; several sections with the same name are one table. */
  readonly name: string;
  /** Bytes of an entry by the target kernel's sources; undefined if only the relocations tell. */
  readonly size: number | undefined;
  /**
   * Bytes that the last entry has at least, where the assembler aligns the beginning of each entry and nothing fills up
   * the last one. Absent: `size`.
   */
  readonly least?: number;
  /** Offset in the entry of the field whose relocation says which code the entry belongs to. */
  readonly location: number;
  /** All fields with relocations. They tell the forms of a table apart; absent: `location` alone is known. */
  readonly fields?: readonly Field[];
  /** The kernel's structure, whose size debug information may tell. */
  readonly struct?: string;
  /**
   * Bytes of the entry that hold the source line, which is no functional difference, or the name of the file.
   * A 16- or 32-bit field at `offset`.
   */
  readonly line?: { readonly offset: number; readonly size: number };
  /** What objtool or the linker derives from the code: it is included, but is not compared. */
  readonly derived?: boolean;
  /** A table without relocations whose entry n goes with entry n of this one (`.orc_unwind` with `.orc_unwind_ip`). */
  readonly parallel?: { readonly name: string; readonly size: number | undefined };
  /**
   * Code that stands elsewhere and belongs to the entry: the field whose relocation points to it, and the byte that says
   * how long it is, or the field whose relocation points to its end.
   */
  readonly replacement?: { readonly field: number; readonly length?: number; readonly end?: number };
  /** The key that switches the place at run time: the field whose relocation points to it, and which bits are flags. */
  readonly key?: { readonly kind: 'jump label' | 'static call'; readonly field: number; readonly flags: number };
  /** True if the entry is for the place at the function's entry that ftrace uses. */
  readonly trace?: boolean;
  /** The same table in other kernel versions: used where the entries of the object do not fit this one. */
  readonly others?: readonly SpecialSection[];
  /** True if an entry makes the kernel forbid indirect calls of the function (`.ibt_endbr_seal`). */
  readonly seals?: boolean;
}

/** Fields of 4 bytes at these offsets. */
export const words = (...at: readonly number[]): Field[] => at.map((one) => ({ at: one, bytes: 4 }));
/** Fields of 8 bytes at these offsets. */
export const longs = (...at: readonly number[]): Field[] => at.map((one) => ({ at: one, bytes: 8 }));
/** The same fields, where some entries have constants instead. */
export const optional = (...fields: readonly Field[]): Field[] => fields.map((one) => ({ ...one, optional: true }));

/** Tables that several architectures share; `relative` says whether the architecture uses 32-bit relative fields there. */
export interface CommonOptions {
  readonly kernel: KernelRules;
  /** CONFIG_GENERIC_BUG_RELATIVE_POINTERS. */
  readonly relativeBugs: boolean;
  /** The form of exception table entries that the kernel version has. */
  readonly exceptions: ExceptionForm;
  /** Bytes of a jump label entry. */
  readonly jumpLabelSize: number;
}

/**
 * `__bug_table`, include/asm-generic/bug.h: address; the format where the architecture has it there (HAVE_ARCH_BUG_FORMAT,
 * since 6.19); file and line where CONFIG_DEBUG_BUGVERBOSE is set; flags. Pointers of 4 or 8 bytes, two 16-bit numbers,
 * then padding to the size of a pointer.
 */
export function bugTable({ kernel, relativeBugs }: CommonOptions): SpecialSection {
  const verbose = kernel.config('DEBUG_BUGVERBOSE') ?? true;
  const common = { name: '__bug_table', location: 0, struct: 'bug_entry' };
  const lined = (size: number, line: number, fields: readonly Field[]): SpecialSection => ({
    ...common,
    size,
    least: line + 4,
    fields,
    line: { offset: line, size: 2 },
  });
  const relative = [lined(12, 8, words(0, 4)), { ...common, size: 8, least: 6, fields: words(0) }];
  const absolute = [lined(24, 16, longs(0, 8)), { ...common, size: 16, least: 10, fields: longs(0) }];
  const formats = [
    lined(16, 12, [...words(0), ...optional(...words(4)), ...words(8)]),
    lined(32, 24, [...longs(0), ...optional(...longs(8)), ...longs(16)]),
    { ...common, size: 12, least: 10, fields: [...words(0), ...optional(...words(4))] },
  ];
  const [likely, others] = relativeBugs ? [relative, absolute] : [absolute, relative];
  const [first, second] = verbose ? likely : [...likely].reverse();
  const rest = since(kernel, 6, 18) ? [...formats, second!, ...others] : [second!, ...others, ...formats];
  return { ...first!, others: rest };
}

/**
 * Entries of `__ex_table` in all kernels so far: two addresses; two distances; two distances and a handler's or data (4
 * bytes); two distances and a handler's of 8 bytes.
 */
const places: readonly Field[] = words(0, 4).map((one) => ({ ...one, to: 'code' }));
const handler: Field = { at: 8, bytes: 4, optional: true, to: 'another object' };
const exceptionForms = {
  addresses: { size: 16, fields: longs(0, 8) },
  distances: { size: 8, fields: places },
  'distances and more': { size: 12, fields: [...places, handler] },
  'distances and a long handler': { size: 16, fields: [...places, ...optional(...longs(8))] },
} as const;

export type ExceptionForm = keyof typeof exceptionForms;

export function exceptionTable({ exceptions }: CommonOptions): SpecialSection {
  const common = { name: '__ex_table', location: 0, struct: 'exception_table_entry' };
  const names = Object.keys(exceptionForms) as ExceptionForm[];
  const forms = names.map((name): SpecialSection => ({ ...common, ...exceptionForms[name] }));
  return oneOf(forms, names.indexOf(exceptions));
}

/**
 * `__jump_table`, include/linux/jump_label.h: code, target, key; the low two bits of the key are flags. Distances of 4, 4
 * and 8 bytes, or three addresses.
 */
export function jumpTable({ jumpLabelSize }: CommonOptions): SpecialSection {
  const common = { name: '__jump_table', location: 0, struct: 'jump_entry' };
  const version = (size: number, fields: readonly Field[]): SpecialSection => {
    const field = fields.at(-1)!.at;
    return { ...common, size, fields, key: { kind: 'jump label', field, flags: 3 } };
  };
  const forms = [version(16, [...words(0, 4), ...longs(8)]), version(24, longs(0, 8, 16))];
  const [likely, other] = jumpLabelSize === 16 ? forms : forms.reverse();
  return { ...likely!, others: [other!] };
}

/** `.static_call_sites`, include/linux/static_call_types.h: address, key with two flag bits; since 5.10. */
export const staticCallSites: SpecialSection = {
  name: '.static_call_sites',
  size: 8,
  location: 0,
  fields: words(0, 4),
  struct: 'static_call_site',
  key: { kind: 'static call', field: 4, flags: 3 },
};

const addresses = { size: 8, location: 0, fields: longs(0), derived: true } as const;

export const mcountTable: SpecialSection = { ...addresses, name: '__mcount_loc', trace: true };

export const patchableEntries: SpecialSection = { ...addresses, name: '__patchable_function_entries', trace: true };

/**
 * The index of printk's formats (CONFIG_PRINTK_INDEX, since 5.15): pointers to struct pi_entry. Only debugfs shows it.
 */
export const printkIndex: SpecialSection = { ...addresses, name: '.printk_index' };

/** The tables that the kernels of every machine have. */
export function commonTables(options: CommonOptions): readonly SpecialSection[] {
  return [bugTable(options), exceptionTable(options), jumpTable(options), mcountTable, patchableEntries, printkIndex];
}

/**
 * struct alt_instr: two 32-bit offsets (code and replacement), then numbers of the machine. The byte at `length` has the length
 * of the replacement. Where a callback takes the place of a replacement, the length is 0.
 */
export function alternatives(size: number, length: number): SpecialSection {
  return {
    name: '.altinstructions',
    size,
    location: 0,
    fields: [...words(0), ...optional(...words(4))],
    struct: 'alt_instr',
    replacement: { field: 4, length },
  };
}

/** What objtool notes for unwinding stacks: addresses of 4 bytes, and an entry of `size` bytes for each. */
export function orcTable(size: number): SpecialSection {
  return {
    name: '.orc_unwind_ip',
    size: 4,
    location: 0,
    fields: words(0),
    derived: true,
    parallel: { name: '.orc_unwind', size },
  };
}

/** A table of 32-bit relative addresses of instructions that objtool found (`.return_sites` and its like). */
export function sites(name: string): SpecialSection {
  return { name, size: 4, location: 0, fields: words(0), derived: true };
}

/** The same table as different kernels have it: the likely form first. */
export function oneOf(forms: readonly SpecialSection[], likely: number): SpecialSection {
  return { ...forms[likely]!, others: forms.filter((_, index) => index !== likely) };
}

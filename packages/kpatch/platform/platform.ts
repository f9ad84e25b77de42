/**
 * What differs by machine, as one record that each folder here fills in like a form. Stages know no machine: they ask these
 * questions. A new machine is a folder and one line in `records.ts` (docs/adding.md). All offsets are bytes; `offset`
 * arguments count from the start of the section.
 *
 * This folder takes bytes, names and what is known of a kernel (`KernelRules`), and returns facts. It must not know stages,
 * files of a kernel tree, or distributions.
 */
import type { ElfObject } from '../formats/elf/object.ts';
import type { BootImageRules } from './common/boot-image.ts';
import type { Emulator } from './common/emulator.ts';
import type { ListingRules } from './common/listing.ts';
import type { RunPreRules } from './common/run-pre.ts';
import type { SmallKernel } from './common/small-kernel.ts';
import type { SpecialSection } from './common/special.ts';
import type { KernelRules } from './kernel-rules.ts';
import type { LoaderRules } from './loader.ts';
import type { Naming } from './naming.ts';

/**
 * What a relocation does, from the processor supplement of the ABI.
 *
 * `bias` says how the target follows from the addend, since many PC-relative relocations count from another place than the
 * field itself: target = symbol + addend + bias. It is a number where it follows from the type alone (s390x: -2 for
 * R_390_PC32DBL at byte 2 of `larl`), or `instruction-end` where the field counts from the end of its instruction
 * (x86-64), in which case `Decoder.instruction` must be able to tell that end. It applies in sections with instructions
 * only: in tables a PC-relative field counts from itself, so bias is 0 there.
 */
export interface RelocationKind {
  /** The ABI's name, as `R_X86_64_PC32`. */
  readonly name: string;
  /**
   * `absolute`, `pc-relative`: the target's address or its distance. `got`, `toc`: through a table of addresses that linker
   * and loader make. `minus`: the symbol's address is subtracted from what is there (R_LARCH_SUB32), so that two
   * relocations at one place make a distance. `none`: nothing is relocated (markers as R_*_NONE, R_LARCH_RELAX).
   */
  readonly form: 'absolute' | 'pc-relative' | 'got' | 'toc' | 'minus' | 'none';
  readonly bias: number | 'instruction-end';
  /** Bytes of the field in data; absent for relocations of instructions. It tells the forms of a table apart. */
  readonly bytes?: 4 | 8;
}

/** How an instruction (or a table) uses the target of a relocation. */
export type Use =
  /** A call: control returns here. */
  | 'call'
  /** A jump or conditional branch; out of the function it is a sibling call. */
  | 'jump'
  /** The address is computed, loaded from or stored to; or the relocation is in data. */
  | 'address';

/** Where control goes after an instruction. */
export type Flow =
  /** To the next instruction. */
  | 'next'
  /** Direct or indirect call; then to the next. */
  | 'call'
  /** Unconditional jump, direct. */
  | 'jump'
  /** Conditional branch, direct. */
  | 'branch'
  /** Nowhere that is known here: return, indirect jump, trap that does not continue. */
  | 'end';

/** One decoded instruction; only what the rules of the differ need. */
export interface Instruction {
  readonly offset: number;
  readonly length: number;
  readonly flow: Flow;
  /** Target of a direct jump, branch or call as an offset in the same section, computed as if no relocation applied. */
  readonly target?: number;
  /** An instruction whose whole effect is to set a register to a constant (`mov $5,%esi`, `li`, `lghi`, `movz`). */
  readonly load?: { readonly register: number; readonly value: number };
  /** True if `load` is the whole constant, of which the instruction before set the upper part. */
  readonly completes?: boolean;
  /**
   * True for an instruction that only traps (`ud2`): whether control returns after it is for the kernel's tables to say.
   */
  readonly traps?: boolean;
  /** An instruction that only copies this register into the one it writes. */
  readonly copies?: number;
  /** Bit n is set where the instruction writes general register n (of the numbering of `argumentRegisters`). */
  readonly writes: number;
}

/** Decodes the instructions of one section. */
export interface Decoder {
  /** The instruction at `offset`, or undefined if the bytes are none. */
  instruction(offset: number): Instruction | undefined;
}

/** How the kernel finds the place at a function's entry that ftrace, and so livepatch, can turn into a call. */
export interface TraceEntry {
  /** Tables of addresses of such places, written by compiler or recordmcount. */
  readonly sections: readonly string[];
  /** Functions that the entry calls before those tables are made, as `__fentry__`, `_mcount`. */
  readonly callees: readonly string[];
  /** The place is at most this many bytes before the function's symbol ... */
  readonly before: number;
  /** ... or this many after it. */
  readonly after: number;
  /** True if the bytes at a function's entry are such a place that no table and no relocation shows. */
  readonly isPlace?: (bytes: Uint8Array, offset: number) => boolean;
}

/** The relocated field of a direct branch; see `Architecture.branchRelocation`. Offsets and sizes in bytes. */
export interface BranchField {
  readonly type: number;
  readonly field: number;
  readonly addend: number;
  readonly size: number;
  /** The field's bytes as the assembler leaves them when it writes a relocation; zeros where this is absent. */
  readonly cleared?: Uint8Array;
}

/** How a machine's objects are read: what the differ asks. */
export interface Architecture {
  /**
   * Rewrites, before anything is compared, what only works in the kernel image itself and has an equal form for modules.
   */
  readonly forModules?: (object: ElfObject) => ElfObject;

  /** As people call it, for messages. */
  readonly name: string;
  /** `EM` of the files. */
  readonly machine: number;
  readonly littleEndian: boolean;
  /** Type of the relocation that stores a 64-bit address (R_X86_64_64, R_PPC64_ADDR64, ...). */
  readonly address64: number;

  /** What a relocation type means; undefined for a type that kernels of this architecture do not use (it is refused). */
  relocation(type: number): RelocationKind | undefined;
  /**
   * How the relocation of this type at this place is used. `bytes` are the section's; called for sections with
   * instructions only.
   */
  use(type: number, bytes: Uint8Array, offset: number): Use;

  /**
   * True for labels that mean nothing outside the assembler: `.L*` everywhere, `$x`, `$d` on aarch64.
   * They neither begin a function or object nor need a counterpart.
   */
  isLabel(name: string): boolean;
  /**
   * For a symbol that only marks the padding before a function (`__pfx_f`, `__cfi_f`): the function's name. The padding
   * belongs to that function.
   */
  prefixOf(name: string): string | undefined;
  /**
   * True if an indirect call may lead to these bytes on a processor that checks it (ENDBR64, BTI C and its like);
   * absent if none does.
   */
  readonly isLandingPad?: (bytes: Uint8Array, offset: number) => boolean;
  /** True if the bytes from `start` to `end` can only be padding between functions (nops, traps, zeros). */
  isPadding(bytes: Uint8Array, start: number, end: number): boolean;
  /**
   * Offset from a function symbol's value to where calls from within the module enter: 0, or ppc64's local entry, which
   * the high bits of `st_other` tell.
   */
  localEntry(other: number): number;
  readonly trace: TraceEntry;

  /** Registers of the integer arguments, first to last, in the numbering of `Instruction.writes`. */
  readonly argumentRegisters: readonly number[];
  /** A decoder for a section with these bytes. Libraries are loaded at the first call, not before. */
  decoder(bytes: Uint8Array): Decoder;
  /**
   * The relocation to give a direct branch (at `offset`, without one) if its target moves to another section, or undefined
   * where the instruction cannot reach that far or is unknown. `field` is the offset of the relocated field, `addend`
   * what makes the branch reach the target's first byte.
   */
  branchRelocation(bytes: Uint8Array, offset: number): BranchField | undefined;
  /** A sentence why a jump out of a function (sibling call) may not be patched, or undefined if it may. */
  readonly siblingCallProblem: string | undefined;

  /**
   * For a call at `offset` (with a relocation): a sentence why it cannot leave the module, so that what it calls must
   * be included, or undefined if it can. ppc64le: nothing after the call restores the TOC.
   */
  readonly nearCall?: (bytes: Uint8Array, offset: number) => string | undefined;
  /** True for symbols that the linker or module loader makes (`.TOC.`): they are neither in kallsyms nor exported. */
  readonly isLinkerSymbol?: (name: string) => boolean;
  /** True for functions that the compiler adds to each object that needs them, all alike (expolines). */
  readonly isThunk?: (name: string) => boolean;
  /**
   * Bytes before a function's symbol that belong to it and have no symbol: ppc64le's distance to the TOC. `relocated` says
   * whether a relocation of the section is at that offset.
   */
  readonly leadIn?: (symbol: { value: number; other: number }, relocated: (offset: number) => boolean) => number;
  /**
   * What to add to addends in a table whose fields do not count from themselves: ppc64le's feature fixups count from the
   * start of the entry. `offset` is in the section.
   */
  readonly tableBias?: (section: string, offset: number) => number;
  /** True for a section that is a list of addresses of one size each, which code refers to one by one (`.toc`). */
  readonly addressList?: (section: string) => boolean;

  /**
   * For a list that only this machine's kernels have and read once, when they start: whether it is freed with the init
   * code.
   */
  readonly startList?: (section: string) => 'init' | 'always' | undefined;
  /** Headers of the kernel that define structures of these tables, as `asm/alternative.h`; they need not exist. */
  readonly structureHeaders?: readonly string[];
  /**
   * The tables of the kernel of that version whose entries belong to functions. `tablesOf` (structures.ts) gives them as
   * one kernel really has them.
   */
  specialSections(kernel: KernelRules): readonly SpecialSection[];
  /**
   * One line per instruction for people, `offset` first, without relocation names; instructions that cannot be shown are
   * given as bytes. Used by `--explain` only.
   */
  disassemble(bytes: Uint8Array, start: number, end: number): readonly DisassembledLine[];
}

/** Everything that kpatch knows of a machine. What is absent is not supported there, and asking for it is an error. */
export interface Platform extends Architecture {
  readonly naming: Naming;
  readonly boot: BootImageRules;
  readonly emulator: Emulator;
  /** Absent: compiled code cannot be compared with the running code. */
  readonly runPre?: RunPreRules;
  /** Absent: what the module loader takes is unknown, so it is not checked. */
  readonly loader?: LoaderRules;
  /**
   * Flags for gcc with which both versions of a unit are compiled, where code that is linked into the kernel could not run in a
   * module. The run-pre match compares units that are compiled without them. Absent: none.
   */
  readonly moduleFlags?: readonly string[];
  /** Absent: reports show plain disassembly, and no callers. */
  readonly listing?: ListingRules;
  /** Absent: `make machines` builds no kernel for it, and nothing was tried on one. */
  readonly smallKernel?: SmallKernel;
}

export interface DisassembledLine {
  readonly offset: number;
  readonly length: number;
  readonly text: string;
}

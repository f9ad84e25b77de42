/** What kind of thing a section holds, by its flags and by the names that the kernel's linker script and macros use. */
import { SHF, SHT } from '../../formats/elf/constants.ts';
import type { Section } from '../../formats/elf/object.ts';

export type SectionClass =
  /** Not loaded, or of no effect on what runs: debug information, comments, `.discard.*`, exported names. */
  | 'ignored'
  /** Functions. */
  | 'text'
  /** Pieces of code that belong to functions elsewhere: `.altinstr_aux`, `.fixup`, `.altinstr_replacement`. */
  | 'fragments'
  | 'writable'
  | 'read-only'
  /** Mergeable strings and constants: only their content matters. */
  | 'strings'
  | 'constants'
  /** A table whose entries belong to functions (see arch/special.ts), or one that is parallel to it. */
  | 'table'
  /** A list that the kernel or the module loader reads once: initcalls, parameters, exports. */
  | 'registry'
  /** Sections by which a patch talks to kpatch: callbacks, things to ignore or to take along. */
  | 'kpatch'
  | 'unknown';

/** When the code or data of a section lives. */
export type Phase = 'always' | 'init' | 'exit';

export interface SectionKind {
  readonly class: SectionClass;
  readonly phase: Phase;
}

/** Loaded sections that say nothing about what functions do: notes, exported names. */
const ignored =
  /^(?:\.discard\b|\.note\b|\.comment$|\.eh_frame|\.modinfo$|__ksymtab|___ksymtab|__kcrctab|___kcrctab|\.export_symbol|\.BTF|\.llvm|\.stab|\.gnu\.|\.kunit_test_suites$|__versions$|\.gnu_debuglink$|\.kpatch\.ignore)/;

/** Lists that are read once, when the kernel or the module starts; they refer to functions and data by address. */
const registry =
  /^(?:\.initcall|\.con_initcall|\.security_initcall|\.init\.setup|__param$|__syscalls_metadata$|_ftrace_events$|_ftrace_eval_map$|_error_injection_whitelist$|_kprobe_blacklist$|__bpf_raw_tp_map$|__tracepoints_ptrs$|__trace_printk_fmt$|__lsm_info|\.lsm_info|\.early_lsm_info|\.pci_fixup|__earlycon_table|__.*_of_table|\.x86_cpu_dev|\.iommu_table|__thermal_table|\.BTF_ids$|__modver$|\.fini_array|\.init_array|\.ctors|\.dtors|__kunit)/;

/**
 * Variables that the linker script gathers: tracepoints, class maps of dynamic debug, scheduler classes (6.3 and later),
 * variables shared with the vDSO.
 */
const gathered =
  /^(?:__tracepoints(?:_strings)?|__dyndbg_classes|__(?:stop|dl|rt|fair|ext|idle)_sched_class|\.vvar_\w+)$/;
const descriptors = /^(?:__dyndbg|__verbose)$/;
/** Tags of places that allocate memory (CONFIG_MEM_ALLOC_PROFILING, since 6.10). */
const tags = 'alloc_tags';
const fragments = /^(?:\.altinstr_aux|\.altinstr_replacement|\.fixup|__ftr_alt_\w+)\b/;
const data =
  /^\.(?:s?data|s?bss|rodata|ref\.data|ref\.rodata|init\.data|init\.rodata|exit\.data|(?:mem|cpu|dev)(?:init|exit)\.(?:ro)?data|toc|opd|got|plt|lbss|ldata|lrodata|ibss|data1|rodata1|tm_clone_table)(?:\.|$)/;
/**
 * Not `.text.init`: that is a function of the name init. Not `.meminit` and `.cpuinit` either: a kernel that can add memory or
 * processors while it runs keeps them.
 */
const init =
  /^\.(?:init|head)(?:\.|$)|^\.(?:initcall|con_initcall|security_initcall|init|x86_cpu_dev|early_lsm_info|lsm_info)|^__setup/;
const exit = /^\.(?:exit|exitcall)(?:\.|$)|^\.exitcall/;

/** Classes of a section; `tables` are the names of the architecture's special sections and their parallels. */
export function kindOfSection(section: Section, tables: ReadonlySet<string>): SectionKind {
  const { name } = section;
  const phase: Phase = init.test(name) ? 'init' : exit.test(name) ? 'exit' : 'always';
  return { class: classOf(section, tables), phase };
}

function classOf(section: Section, tables: ReadonlySet<string>): SectionClass {
  const { name, flags, type } = section;
  if (name.startsWith('.kpatch.')) return 'kpatch';
  if (tables.has(name)) return 'table';
  if ((flags & SHF.ALLOC) === 0 || type === SHT.NOTE || ignored.test(name)) return 'ignored';
  if (fragments.test(name)) return 'fragments';
  if ((flags & SHF.EXECINSTR) !== 0) return 'text';
  if (registry.test(name)) return 'registry';
  if ((flags & SHF.MERGE) !== 0 && (flags & SHF.WRITE) === 0 && section.entsize > 0) {
    // Characters have up to 4 bytes, constants up to 64; anything else is no compiler's work.
    const strings = (flags & SHF.STRINGS) !== 0;
    if (section.entsize > (strings ? 4 : 64) || section.addralign > 64) return 'unknown';
    return strings ? 'strings' : 'constants';
  }
  if (data.test(name) || gathered.test(name) || descriptors.test(name) || name === tags) {
    return (flags & SHF.WRITE) !== 0 || type === SHT.NOBITS ? writableClass(name) : 'read-only';
  }
  return 'unknown';
}

/** `.data..ro_after_init` is written at start; `.data.rel.ro` and `.rodata` with relocations only by the loader. */
function writableClass(name: string): SectionClass {
  return /^\.(?:rodata|data\.rel\.ro)(?:\.|$)/.test(name) ? 'read-only' : 'writable';
}

/** Sections whose variables are not reached, or not written, as others are. */
const storages: readonly (readonly [Storage, RegExp])[] = [
  ['one for each processor', /^\.(?:data|bss)\.\.percpu\b/],
  ['read-only after init', /^\.(?:data|bss)(?:\.rel)?\.\.(?:ro_after_init|read_only)\b/],
  ['not encrypted', /^\.(?:data|bss)\.\.decrypted\b/],
];

export type Storage = 'ordinary' | 'one for each processor' | 'read-only after init' | 'not encrypted';

/** How variables of a section are kept in the running kernel. */
export function storageOf(section: string): Storage {
  return storages.find(([, pattern]) => pattern.test(section))?.[0] ?? 'ordinary';
}

/**
 * Descriptors of UBSAN's checks, one for each: where the check stands in the source, and types. gcc calls them
 * `.Lubsan_data7` (in `.data.rel.local` where code is position-independent); clang gives them no name (`.data..L__unnamed_7`), and nothing that a source file says is writable
 * without one.
 */
const sanitizer = /^\.data(?:\.rel(?:\.local)?)?\.\.(?:Lubsan_(?:data|type)|L__unnamed_)\d*$/;

/** True for sections of UBSAN's descriptors; they begin with struct source_location: file, line, column. */
export function isSanitizerData(name: string): boolean {
  return sanitizer.test(name);
}

/** True for descriptors of dynamic debug: struct _ddebug, whose line number is in the low 18 bits at byte 32. */
export function isDescriptors(name: string): boolean {
  return descriptors.test(name);
}

/** True for tags of allocations: struct alloc_tag, which begins with 32 bits of flags and 32 of line. */
export function isTags(name: string): boolean {
  return name === tags;
}

/** Functions in these sections must not be replaced; the words say why. */
const unpatchable: readonly (readonly [RegExp, string])[] = [
  [/^\.noinstr\.text\b/, 'code that must not be instrumented (noinstr) has no ftrace entry'],
  [/^\.entry\.text\b/, 'entry code runs before the kernel is ready for ftrace'],
  [/^\.(?:irqentry|softirqentry)\.text\b/, 'the kernel recognises interrupt entry code by its address'],
  [/^\.kprobes\.text\b/, 'code that kprobes depend on must not be probed or replaced'],
  [/^\.cpuidle\.text\b/, 'the kernel recognises idle code by its address'],
  [/^\.(?:vdso|vsyscall)/, 'this code runs in user space'],
  [/^\.static_call\.text\b/, 'static call trampolines are rewritten by the kernel'],
];

export function unpatchableReason(section: string): string | undefined {
  return unpatchable.find(([pattern]) => pattern.test(section))?.[1];
}

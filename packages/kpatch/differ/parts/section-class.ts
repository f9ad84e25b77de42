/** Classifies sections by their flags and by the names used in the linker script and macros of the kernel. */
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
  /** A table whose entries belong to functions (see platform/common/special.ts), or one that is parallel to it. */
  | 'table'
  /** A list that the kernel or the module loader reads once: initcalls, parameters, exports. */
  | 'registry'
  /** Lists and sets of BTF ids (`.BTF_ids`), which are filled in when the kernel or module is linked. */
  | 'ids'
  /** Sections by which a patch talks to kpatch: callbacks, things to ignore or to take along. */
  | 'kpatch'
  | 'unknown';

/** When the code or data of a section lives. */
export type Phase = 'always' | 'init' | 'exit';

export interface SectionKind {
  readonly class: SectionClass;
  readonly phase: Phase;
}

const exactly = (...patterns: readonly string[]): RegExp => new RegExp(`^(?:${patterns.join('|')})$`);

/**
 * What may follow a name that the linker script takes with all its continuations: `.data`, `.data.x`, `.data..read_mostly`.
 */
const rest = String.raw`(?:\..*)?`;

/**
 * Classes that a name alone decides, where it is of the section's kind by its flags. Each name matches one pattern at most
 * (a test reads them all).
 */
export const namedClasses: readonly {
  readonly class: 'ignored' | 'fragments' | 'registry' | 'ids' | 'data';
  readonly pattern: RegExp;
}[] = [
  {
    // Loaded sections that say nothing about what functions do: notes, exported names, what modpost and linkers read.
    class: 'ignored',
    pattern: exactly(
      String.raw`\.(?:discard|note|comment|stab|stabstr|llvm)${rest}`,
      String.raw`\.(?:eh_frame|eh_frame_hdr|sframe|orc_header|modinfo|export_symbol|gnu_debuglink|llvm_addrsig|llvmbc|llvmcmd)`,
      String.raw`\.(?:BTF|BTF\.ext|kunit_test_suites|kunit_init_test_suites)`,
      String.raw`\.gnu\.(?:linkonce\.this_module|attributes|hash|(?:build\.attributes|warning|lto_|debuglto_).*)`,
      String.raw`_{2,3}(?:ksymtab|kcrctab)(?:_gpl|_unused|_unused_gpl|_gpl_future)?(?:\+.*)?`,
      // __tracepoint_check: names of used tracepoints, read by scripts/tracepoint-update.c (since 6.19).
      '__ksymtab_strings|__kflagstab|__versions|__version_ext_(?:crcs|names)|__tracepoint_check',
    ),
  },
  {
    class: 'fragments',
    pattern: exactly(String.raw`\.(?:altinstr_aux|altinstr_replacement|fixup)${rest}`, String.raw`__ftr_alt_\w+`),
  },
  {
    // Lists that are read once, when the kernel or the module starts; they refer to functions and data by address.
    class: 'registry',
    pattern: exactly(
      String.raw`\.(?:con_|security_)?initcall.*|\.exitcall${rest}|\.init\.setup|\.init_array${rest}|\.fini_array${rest}|\.ctors${rest}|\.dtors${rest}`,
      String.raw`\.(?:early_)?lsm_info${rest}|__lsm_info.*|__early_lsm_info.*|\.pci_fixup.*|\.static_call_tramp_key`,
      '__param|__obsparm|__modver|__earlycon_table|__\\w+_of_table(?:_end)?|__\\w+_acpi_probe_table|__(?:governor_)?thermal_table\\w*|__kunit\\w*',
      '__syscalls_metadata|_ftrace_events|_ftrace_(?:eval|enum)_map|_error_injection_whitelist|_kprobe_blacklist|__bpf_raw_tp_map|__tracepoints_ptrs|__trace_printk_fmt',
    ),
  },
  { class: 'ids', pattern: exactly(String.raw`\.BTF_ids`) },
  {
    class: 'data',
    pattern: exactly(
      String.raw`\.(?:s?data|s?bss|rodata|ref\.(?:data|rodata)|init\.(?:data|rodata)|exit\.data|(?:mem|cpu|dev)(?:init|exit)\.(?:ro)?data|toc|opd|got|plt|lbss|ldata|lrodata|ibss|data1|rodata1|tm_clone_table)${rest}`,
      // Variables that the linker script gathers: tracepoints, class maps and descriptors of dynamic debug, scheduler
      // classes
      // (5.9 and later), variables shared with the vDSO, tags of allocations.
      String.raw`__tracepoints(?:_strings)?|__tracepoint_str|__dyndbg_classes|__dyndbg|__verbose|__(?:stop|dl|rt|fair|ext|idle)_sched_class|\.vvar_\w+|alloc_tags`,
    ),
  },
];

const descriptors = /^(?:__dyndbg|__verbose)$/;
/** Tags of places that allocate memory (CONFIG_MEM_ALLOC_PROFILING, since 6.10). */
const tags = 'alloc_tags';
/**
 * Not `.text.init`: that is a function of the name init. Not `.meminit` and `.cpuinit` either: a kernel that can add memory
 * or processors while it runs keeps them.
 */
const init = exactly(
  String.raw`\.(?:init|head|init_array|early_lsm_info|lsm_info)${rest}`,
  String.raw`\.(?:con_|security_)?initcall.*`,
);
const exit = exactly(String.raw`\.(?:exit|exitcall)${rest}`);

/** Classes of a section; `tables` are the names of the architecture's special sections and their parallels. */
export function kindOfSection(section: Section, tables: ReadonlySet<string>): SectionKind {
  const { name } = section;
  const phase: Phase = common.test(name) ? 'always' : init.test(name) ? 'init' : exit.test(name) ? 'exit' : 'always';
  return kinds[phase][classOf(section, tables)];
}

/** The same object for the same kind: an object has thousands of sections and a handful of kinds. */
const kinds: Readonly<Record<Phase, Record<SectionClass, SectionKind>>> = {
  always: kindsOf('always'),
  init: kindsOf('init'),
  exit: kindsOf('exit'),
};

function kindsOf(phase: Phase): Record<SectionClass, SectionKind> {
  const kind = <C extends SectionClass>(name: C): SectionKind => ({ class: name, phase });
  return {
    ignored: kind('ignored'),
    text: kind('text'),
    fragments: kind('fragments'),
    writable: kind('writable'),
    'read-only': kind('read-only'),
    strings: kind('strings'),
    constants: kind('constants'),
    table: kind('table'),
    registry: kind('registry'),
    ids: kind('ids'),
    kpatch: kind('kpatch'),
    unknown: kind('unknown'),
  };
}

/** Most sections of an object are these; no other pattern has names that begin like them. */
const common = /^\.(?:(text)|data|rodata|bss)(?:\.|$)/;

function namedClass(name: string): (typeof namedClasses)[number]['class'] | undefined {
  const match = common.exec(name);
  if (match !== null) return match[1] === undefined ? 'data' : undefined;
  return namedClasses.find(({ pattern }) => pattern.test(name))?.class;
}

function classOf(section: Section, tables: ReadonlySet<string>): SectionClass {
  const { name, flags, type } = section;
  if (name.startsWith('.kpatch.')) return 'kpatch';
  if (tables.has(name)) return 'table';
  if ((flags & SHF.ALLOC) === 0 || type === SHT.NOTE) return 'ignored';
  const named = namedClass(name);
  const code = (flags & SHF.EXECINSTR) !== 0;
  if (named === 'ignored' || named === 'fragments') return named;
  if (code) return 'text';
  if (named === 'registry' || named === 'ids') return named;
  if ((flags & SHF.MERGE) !== 0 && (flags & SHF.WRITE) === 0 && section.entsize > 0) {
    // Characters have up to 4 bytes, constants up to 64; no compiler writes anything else.
    const strings = (flags & SHF.STRINGS) !== 0;
    if (section.entsize > (strings ? 4 : 64) || section.addralign > 64) return 'unknown';
    return strings ? 'strings' : 'constants';
  }
  if (named !== 'data') return 'unknown';
  return (flags & SHF.WRITE) !== 0 || type === SHT.NOBITS ? writableClass(name) : 'read-only';
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
 * Descriptors of UBSAN's checks, one for each: where the check is in the source, and types. gcc calls them
 * `.Lubsan_data7` (in `.data.rel.local` where code is position-independent); clang gives them no name
 * (`.data..L__unnamed_7`), and nothing that a source file says is writable without one.
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

/** C sources into pairs of objects, as the kernel's build would make them, and what the differ says of them. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { diff } from '#kpatch/differ/diff.ts';
import type { DiffOptions, DiffResult, ExportedSymbol } from '#kpatch/differ/options.ts';
import { assumedSymbols } from '#kpatch/differ/parts/symbols/symbol-table.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import type { KernelRules } from '#kpatch/platform/kernel-rules.ts';

/** A compiler with the flags that matter of a kernel build. */
export interface Toolchain {
  readonly name: string;
  readonly compiler: string;
  readonly flags: readonly string[];
}

/** The flags that kernels of all machines share. */
export const common = [
  '-O2',
  '-w',
  '-std=gnu11',
  '-ffreestanding',
  '-fno-strict-aliasing',
  '-fno-common',
  '-fno-stack-protector',
  '-fno-asynchronous-unwind-tables',
  '-ffunction-sections',
  '-fdata-sections',
];
const x86 = ['-fno-PIE', '-mcmodel=kernel', '-mno-sse', '-mno-red-zone', '-pg', '-mfentry', '-mrecord-mcount'];

export const gcc: Toolchain = {
  name: 'gcc x86-64',
  compiler: 'gcc',
  flags: [...common, '-fcf-protection=none', '-fno-jump-tables', ...x86],
};

/** As Debian's 6.12: indirect branch tracking and 16 bytes of padding before each function. */
export const gccPadded: Toolchain = {
  name: 'gcc x86-64 with IBT and padding',
  compiler: 'gcc',
  flags: [...common, '-fcf-protection=branch', '-fno-jump-tables', '-fpatchable-function-entry=16,16', ...x86],
};

const compiled = new Map<string, Uint8Array>();

/** Compiles C (or, with `.S` flags, assembly); the same source is compiled once. The file is always called `a.c`. */
export function compile(toolchain: Toolchain, source: string, more: readonly string[] = []): Uint8Array {
  const key = [toolchain.compiler, ...toolchain.flags, ...more, source].join('\0');
  const known = compiled.get(key);
  if (known !== undefined) return known;
  using folder = temporaryFolder('kpatch-fixture-');
  writeFileSync(join(folder.path, 'a.c'), source);
  const args = [...toolchain.flags, ...more, '-c', '-o', 'a.o', 'a.c'];
  execFileSync(toolchain.compiler, args, { cwd: folder.path, stdio: ['ignore', 'ignore', 'pipe'] });
  const bytes = new Uint8Array(readFileSync(join(folder.path, 'a.o')));
  compiled.set(key, bytes);
  return bytes;
}

/** What the kernel's headers give to code that the rules of the differ are about, cut down to what matters here. */
export const prelude = `
#define noinline __attribute__((noinline))
#define notrace __attribute__((no_instrument_function))
#define __init __attribute__((section(".init.text"), cold))
#define __exit __attribute__((section(".exit.text"), cold)) notrace
#define __initdata __attribute__((section(".init.data")))
#define __read_mostly __attribute__((section(".data..read_mostly")))
typedef unsigned long ulong;
int printk(const char *, ...);
void __warn_printk(const char *, ...);
void __might_sleep(const char *, int);
int use(int);
int use2(const void *, int);
#define might_sleep() __might_sleep(__FILE__, __LINE__)
#define BUG_ENTRY(flags) asm volatile("1: ud2\\n.pushsection __bug_table,\\"aw\\"\\n2: .long 1b - .\\n.long %c0 - .\\n.word %c1\\n.word %c2\\n.org 2b+12\\n.popsection" : : "i"(__FILE__), "i"(__LINE__), "i"(flags))
#define WARN_ON(c) ({ if (__builtin_expect(!!(c), 0)) BUG_ENTRY(1); })
#define WARN_ON_ONCE(c) ({ if (__builtin_expect(!!(c), 0)) BUG_ENTRY(3); })
#define WARN_ONCE(c, ...) ({ static char __attribute__((section(".data.once"))) __already_done; \\
  if (__builtin_expect((c) && !__already_done, 0)) { __already_done = 1; __warn_printk(__VA_ARGS__); BUG_ENTRY(8); } })
struct static_key { int enabled; void *entries; };
#define static_branch(key) ({ __label__ yes, out; int r = 0; \\
  asm goto("1: .byte 0x0f,0x1f,0x44,0x00,0x00\\n.pushsection __jump_table,\\"aw\\"\\n.balign 8\\n.long 1b - ., %l[yes] - .\\n.quad %c0 - .\\n.popsection" : : "i"(key) : : yes); \\
  goto out; yes: r = 1; out: r; })
#define ALTERNATIVE(old, new, feature) asm volatile("771: " old "\\n772:\\n.pushsection .altinstructions,\\"a\\"\\n.long 771b - .\\n.long 774f - .\\n.word " #feature "\\n.byte 772b-771b\\n.byte 775f-774f\\n.popsection\\n.pushsection .altinstr_replacement,\\"ax\\"\\n774: " new "\\n775:\\n.popsection" : : : "memory")
#define LOCKED(x) asm volatile(".pushsection .smp_locks,\\"a\\"\\n.balign 4\\n.long 671f - .\\n.popsection\\n671: lock; incl %0" : "+m"(x))
#define PROBE(p) ({ int v, e = 0; asm volatile("1: movl %2,%1\\n2:\\n.pushsection __ex_table,\\"a\\"\\n.balign 4\\n.long 1b - .\\n.long 2b - .\\n.long 3\\n.popsection" : "+r"(e), "=r"(v) : "m"(*(p))); v; })
struct _ddebug { const char *modname, *function, *filename, *format; unsigned int lineno:18, class_id:6, flags:8; struct static_key key; };
void __dynamic_pr_debug(struct _ddebug *, const char *, ...);
#define pr_debug(fmt, ...) ({ static struct _ddebug __attribute__((aligned(8), section("__dyndbg"))) descriptor = { "m", __func__, __FILE__, fmt, __LINE__, 0, 0 }; \\
  if (static_branch(&descriptor.key)) __dynamic_pr_debug(&descriptor, fmt, ##__VA_ARGS__); })
`;

export interface Setting {
  readonly toolchain?: Toolchain;
  readonly more?: readonly string[];
  readonly object?: string;
  readonly kernel?: Partial<KernelRules>;
  readonly exports?: Readonly<Record<string, ExportedSymbol>>;
  readonly options?: Partial<DiffOptions>;
  /** Names that the kernel has beside those of the original object. */
  readonly elsewhere?: readonly string[];
}

/** Options for objects that stand alone: the kernel has each symbol of the original object once. */
export function optionsFor(original: Uint8Array, setting: Setting = {}): DiffOptions {
  const { object = 'vmlinux', kernel, exports = {}, options = {}, elsewhere = [] } = setting;
  const own = assumedSymbols(readObject(original, 'original.o'));
  const others = elsewhere.map((name) => ({ name, kind: 'other', bind: 'global' }) as const);
  return {
    names: { original: 'original.o', patched: 'patched.o' },
    object,
    kernel: { major: 6, minor: 1, config: () => undefined, ...kernel },
    exported: (name) => exports[name],
    symbols: [...own, ...others],
    ...options,
  };
}

/** Compiles both versions (after the prelude) and compares them. */
export function differ(before: string, after: string, setting: Setting = {}): DiffResult {
  const { toolchain = gcc, more = [] } = setting;
  const [original, patched] = [compile(toolchain, prelude + before, more), compile(toolchain, prelude + after, more)];
  return diff(original, patched, optionsFor(original, setting));
}

/** The functions as `changed f`, `new g`. */
export function functionsOf(result: DiffResult): string[] {
  return result.functions.map(({ kind, name }) => `${kind} ${name}`).sort();
}

/**
 * What the kernel's headers give, cut down to what the rules of the differ are about. The same names on all architectures, so
 * that one case is compiled for all: `WARN_ON`, `static_branch`, `ALTERNATIVE` with the instructions `OLD`, `NEW1` and `NEW2`
 * of one length, `PROBE` (an access with a fixup), ...
 */

const common = `
#define noinline __attribute__((noinline))
#define notrace __attribute__((no_instrument_function)) NOTRACE
#define __init __attribute__((section(".init.text"), cold)) notrace
#define __exit __attribute__((section(".exit.text"), cold)) notrace
#define __initdata __attribute__((section(".init.data")))
#define __read_mostly __attribute__((section(".data..read_mostly")))
#define __used __attribute__((used))
#define unlikely(x) __builtin_expect(!!(x), 0)
typedef unsigned long ulong;
int printk(const char *, ...);
void __warn_printk(const char *, ...);
void __might_sleep(const char *, int);
void lockdep_rcu_suspicious(const char *, const int, const char *);
int use(int);
int use2(const void *, int);
int use3(int);
__attribute__((cold)) int cold_use(int);
#define might_sleep() __might_sleep(__FILE__, __LINE__)
#define BUG_TABLE(instruction, flags) asm volatile("1: " instruction "\\n.pushsection __bug_table,\\"aw\\"\\n2: .long 1b - .\\n.long %c0 - .\\n.short %c1\\n.short %c2\\n.org 2b+12\\n.popsection" : : "i"(__FILE__), "i"(__LINE__), "i"(flags))
#define WARN_ON(c) ({ if (unlikely(c)) BUG_TABLE(TRAP, 1); })
#define WARN_ON_ONCE(c) ({ if (unlikely(c)) BUG_TABLE(TRAP, 3); })
#define BUG() ({ BUG_TABLE(TRAP, 0); __builtin_unreachable(); })
#define WARN_ONCE(c, ...) ({ static char __attribute__((section(".data.once"))) __already_done; \\
  if (unlikely((c) && !__already_done)) { __already_done = 1; __warn_printk(__VA_ARGS__); BUG_TABLE(TRAP, 8); } })
#define ASSERT_RTNL() WARN_ONCE(use(0), "RTNL: assertion failed at %s (%d)\\n", __FILE__, __LINE__)
#define OLD_ASSERT_RTNL() ({ if (unlikely(use(0))) printk("RTNL: assertion failed at %s (%d)\\n", __FILE__, __LINE__); })
struct static_key { int enabled; void *entries; };
#define STATIC_BRANCH(key, flag) ({ __label__ yes, out; int r = 0; \\
  asm goto("1: " JUMP_NOP "\\n.pushsection __jump_table,\\"aw\\"\\n.balign 8\\n.long 1b - ., %l[yes] - .\\n" QUAD " %c0 + %c1 - .\\n.popsection" : : "i"(key), "i"(flag) : : yes); \\
  goto out; yes: r = 1; out: r; })
#define static_branch(key) STATIC_BRANCH(key, 0)
struct _ddebug { const char *modname, *function, *filename, *format; unsigned int lineno:18, class_id:6, flags:8; struct static_key key; };
void __dynamic_pr_debug(struct _ddebug *, const char *, ...);
#define pr_debug(fmt, ...) ({ static struct _ddebug __attribute__((aligned(8), section("__dyndbg"))) descriptor = { "m", __func__, __FILE__, fmt, __LINE__, 0, 0 }; \\
  if (static_branch(&descriptor.key)) __dynamic_pr_debug(&descriptor, fmt, ##__VA_ARGS__); })
struct pi_entry { const char *fmt, *func, *file; unsigned int line; const char *level, *subsys_fmt_prefix; } __attribute__((packed));
#define indexed_printk(fmt, ...) ({ static const struct pi_entry _entry __used = { fmt, __func__, __FILE__, __LINE__, 0, 0 }; \\
  static const struct pi_entry *_entry_ptr __attribute__((used, section(".printk_index"))) = &_entry; _printk(fmt, ##__VA_ARGS__); })
int _printk(const char *, ...);
struct alloc_tag { unsigned int flags, line; const char *modname, *function, *filename; ulong *counters; };
void *allocate(struct alloc_tag *, ulong);
#define tagged_alloc(size) ({ static __attribute__((section(".data..percpu"))) ulong _alloc_tag_cntr[2]; \\
  static struct alloc_tag _alloc_tag __attribute__((used, aligned(8), section("alloc_tags"))) = { 0, __LINE__, 0, __func__, __FILE__, _alloc_tag_cntr }; allocate(&_alloc_tag, size); })
#define SITES(section) asm volatile("1: " OLD "\\n.pushsection " section ",\\"a\\"\\n.long 1b - .\\n.popsection")
#define UNWIND(state) asm volatile("1: " OLD "\\n.pushsection .orc_unwind_ip,\\"a\\"\\n.long 1b - .\\n.popsection\\n.pushsection .orc_unwind,\\"a\\"\\n.fill " ORC_SIZE ",1," #state "\\n.popsection")
struct tracepoint { const char *name; struct static_key key; void *funcs; };
#define DEFINE_TRACE(x) struct tracepoint __tracepoint_##x __attribute__((section("__tracepoints"), used)) = { #x, { 0, 0 }, 0 }
#define FIXUP_SECTION(code) ".pushsection .fixup,\\"ax\\"\\n3: " code "\\n.popsection\\n"
`;

export const x86 = `
#define NOTRACE
#define ORC_SIZE "6"
#define TRAP "ud2"
#define QUAD ".quad"
#define JUMP_NOP ".byte 0x0f,0x1f,0x44,0x00,0x00"
${common}
#define OLD "nop; nop; nop"
#define NEW1 "lfence"
#define NEW2 "mfence"
#define ALTERNATIVE(old, new, feature) asm volatile("771: " old "\\n772:\\n.pushsection .altinstructions,\\"a\\"\\n.long 771b - .\\n.long 774f - .\\n.word " #feature "\\n.byte 772b-771b\\n.byte 775f-774f\\n.popsection\\n.pushsection .altinstr_replacement,\\"ax\\"\\n774: " new "\\n775:\\n.popsection" : : : "memory")
#define ALTERNATIVE_CALL(function, feature) ALTERNATIVE("nop; nop; nop; nop; nop", "call " #function, feature)
#define EXTABLE(insn, fixup, kind) ".pushsection __ex_table,\\"a\\"\\n.balign 4\\n.long " insn " - .\\n.long " fixup " - .\\n.long " #kind "\\n.popsection\\n"
#define LOAD "movl %2,%1"
#define CONSTRAINT "m"
#define MOVE(n) "movl $" #n ",%0"
#define JUMP(label) "jmp " label
#define HAS(feature) ({ __label__ yes, no, out; int r; \\
  asm goto("1: jmp 6f\\n2: .skip 0\\n.pushsection .altinstructions,\\"a\\"\\n.long 1b - .\\n.long 4f - .\\n.word 117\\n.byte 2b - 1b\\n.byte 5f - 4f\\n.long 1b - .\\n.long 0\\n.word " #feature "\\n.byte 2b - 1b\\n.byte 0\\n.popsection\\n" \\
    ".pushsection .altinstr_replacement,\\"ax\\"\\n4: jmp %l[no]\\n5:\\n.popsection\\n.pushsection .altinstr_aux,\\"ax\\"\\n6: testb $1 << (" #feature " & 7), capabilities + " #feature " / 8\\n jnz %l[yes]\\n jmp %l[no]\\n.popsection" : : : : yes, no); \\
  yes: r = 1; goto out; no: r = 0; out: r; })
#define LOCKED(x) asm volatile(".pushsection .smp_locks,\\"a\\"\\n.balign 4\\n.long 671f - .\\n.popsection\\n671: lock; incl %0" : "+m"(x))
#define PARAVIRT(type) asm volatile("771: call *pv_ops\\n772:\\n.pushsection .parainstructions,\\"a\\"\\n.balign 8\\n.quad 771b\\n.byte " #type "\\n.byte 772b-771b\\n.balign 8\\n.popsection")
#define STATIC_CALL(name) asm volatile("1: call __SCT__" #name "\\n.pushsection .static_call_sites,\\"aw\\"\\n.balign 4\\n.long 1b - .\\n.long __SCK__" #name " - .\\n.popsection")
${probes()}
`;

export const ppc64le = `
#define NOTRACE
#define TRAP "twi 31,0,0"
#define QUAD ".8byte"
#define JUMP_NOP "nop"
${common}
#define OLD "nop"
#define NEW1 "sync"
#define NEW2 "isync"
#define FEATURE(sect, old, new, mask) asm volatile("971: " old "\\n972:\\n.pushsection __ftr_alt_97,\\"a\\"\\n.align 2\\n973: " new "\\n974:\\n.popsection\\n.pushsection " sect ",\\"a\\"\\n.align 3\\n975:\\n.8byte " #mask "\\n.8byte " #mask "\\n.8byte 971b-975b\\n.8byte 972b-975b\\n.8byte 973b-975b\\n.8byte 974b-975b\\n.popsection" : : : "memory")
#define ALTERNATIVE(old, new, feature) FEATURE("__ftr_fixup", old, new, feature)
#define PLACE(sect) asm volatile("953: nop\\n.pushsection " sect ",\\"a\\"\\n.align 2\\n954: .8byte 953b-954b\\n.popsection")
#define RANGE(sect) asm volatile("955: nop\\n956:\\n.pushsection " sect ",\\"a\\"\\n.align 2\\n957: .8byte 955b-957b\\n.8byte 956b-957b\\n.popsection")
#define EXTABLE(insn, fixup, kind) ".pushsection __ex_table,\\"a\\"\\n.balign 4\\n.long " insn " - .\\n.long " fixup " - .\\n.popsection\\n"
#define LOAD "lwz %1,%2"
#define CONSTRAINT "m"
#define MOVE(n) "li %0," #n
#define JUMP(label) "b " label
${probes()}
`;

export const s390x = `
#define NOTRACE
#define TRAP "mc 0,0"
#define QUAD ".quad"
#define JUMP_NOP "brcl 0,%l[yes]"
${common}
#define OLD "brc 0,.+4"
#define NEW1 ".long 0xb9040011"
#define NEW2 ".long 0xb9040000"
#define ALTERNATIVE(old, new, feature) asm volatile(".pushsection .altinstr_replacement,\\"ax\\"\\n6641: " new "\\n6651:\\n.popsection\\n661: " old "\\n662:\\n.pushsection .altinstructions,\\"a\\"\\n.long 661b - .\\n.long 6641b - .\\n.word " #feature "\\n.byte 662b-661b\\n.popsection" : : : "memory")
#define EXTABLE(insn, fixup, kind) ".pushsection __ex_table,\\"a\\"\\n.balign 4\\n.long " insn " - .\\n.long " fixup " - .\\n.short " #kind "\\n.short 0\\n.popsection\\n"
#define LOAD "l %1,%2"
#define CONSTRAINT "R"
#define MOVE(n) "lhi %0," #n
#define JUMP(label) "brc 15," label
${probes()}
`;

export const aarch64 = `
#define NOTRACE __attribute__((patchable_function_entry(0)))
#define TRAP "brk 0x800"
#define QUAD ".quad"
#define JUMP_NOP "nop"
${common}
#define OLD "nop"
#define NEW1 "dmb sy"
#define NEW2 "dsb sy"
#define ALTERNATIVE(old, new, feature) asm volatile("661: " old "\\n662:\\n.pushsection .altinstructions,\\"a\\"\\n.word 661b - .\\n.word 663f - .\\n.hword " #feature "\\n.byte 662b-661b\\n.byte 664f-663f\\n.popsection\\n.subsection 1\\n663: " new "\\n664:\\n.previous" : : : "memory")
#define OLD_ALTERNATIVE(old, new, feature) asm volatile("661: " old "\\n662:\\n.pushsection .altinstructions,\\"a\\"\\n.word 661b - .\\n.word 663f - .\\n.hword " #feature "\\n.byte 662b-661b\\n.byte 664f-663f\\n.popsection\\n.pushsection .altinstr_replacement,\\"ax\\"\\n663: " new "\\n664:\\n.popsection" : : : "memory")
#define ALTERNATIVE_CB(old, feature, callback) asm volatile("661: " old "\\n662:\\n.pushsection .altinstructions,\\"a\\"\\n.word 661b - .\\n.word " #callback " - .\\n.hword " #feature "\\n.byte 662b-661b\\n.byte 0\\n.popsection" : : : "memory")
#define EXTABLE(insn, fixup, kind) ".pushsection __ex_table,\\"a\\"\\n.balign 4\\n.long " insn " - .\\n.long " fixup " - .\\n.short " #kind "\\n.short 0\\n.popsection\\n"
#define LOAD "ldr %w1,%2"
#define CONSTRAINT "m"
#define MOVE(n) "mov %w0,#" #n
#define JUMP(label) "b " label
${probes()}
`;

export const loongarch64 = `
#define ORC_SIZE "12"
#define NOTRACE __attribute__((patchable_function_entry(0)))
#define TRAP "break 1"
#define QUAD ".dword"
#define JUMP_NOP "nop"
${common}
#define OLD "nop"
#define NEW1 "dbar 0"
#define NEW2 "ibar 0"
#define ALTERNATIVE(old, new, feature) asm volatile("661: " old "\\n662:\\n.pushsection .altinstructions,\\"a\\"\\n.long 661b - .\\n.long 663f - .\\n.short " #feature "\\n.byte 662b-661b\\n.byte 664f-663f\\n.popsection\\n.subsection 1\\n663: " new "\\n664:\\n.previous" : : : "memory")
#define EXTABLE(insn, fixup, kind) ".pushsection __ex_table,\\"a\\"\\n.balign 4\\n.long " insn " - .\\n.long " fixup " - .\\n.short " #kind "\\n.short 0\\n.popsection\\n"
#define LOAD "ld.w %1,%2"
#define CONSTRAINT "m"
#define MOVE(n) "li.w %0," #n
#define JUMP(label) "b " label
${probes()}
`;

/** Accesses that may fault; the fixup is one of two places behind, or code in `.fixup`. */
function probes(): string {
  return `
#define PROBE_AT(p, fixup, kind) ({ int v = 0, e = 0; asm volatile("1: " LOAD "\\n" JUMP("5f") "\\n2: " MOVE(1) "\\n4: " MOVE(2) "\\n5:\\n" EXTABLE("1b", fixup, kind) : "+r"(e), "=r"(v) : CONSTRAINT(*(p))); e + v; })
#define PROBE(p) PROBE_AT(p, "2b", 3)
#define PROBE_BARE(p) ({ int v = 0, e = 0; asm volatile("1: " LOAD "\\n" JUMP("5f") "\\n2: " MOVE(1) "\\n4: " MOVE(2) "\\n5:\\n" : "+r"(e), "=r"(v) : CONSTRAINT(*(p))); e + v; })
#define PROBE_FIXUP(p, n) ({ int v = 0, e = 0; asm volatile("1: " LOAD "\\n2:\\n" FIXUP_SECTION(MOVE(n) "\\n" JUMP("2b")) EXTABLE("1b", "3b", 3) : "+r"(e), "=r"(v) : CONSTRAINT(*(p))); e + v; })
`;
}

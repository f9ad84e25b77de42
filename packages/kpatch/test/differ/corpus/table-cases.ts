/** Special sections: each entry belongs to a function, and a difference in it is a difference of that function. */
import assert from 'node:assert/strict';
import { type Case, onArch } from './case.ts';
import { travels } from './verdict.ts';

const g = 'int g(int a) { return use(a) + 9; }';
const x86 = onArch('x86-64');
const power = onArch('ppc64le');
const z = onArch('s390x');
const arm = onArch('aarch64');

const onX86: readonly Case[] = [
  {
    name: 'a lock prefix that comes',
    before: `int counter; int f(int a) { counter += a; return use(a) + 1; } int h(int a) { LOCKED(counter); return use(a) + 1; }`,
    after: [['counter += a', 'LOCKED(counter)']],
    expect: ['changed f'],
    on: x86,
    check: travels('.smp_locks'),
  },
  {
    name: 'the type of a paravirt site',
    before: `int f(int a) { PARAVIRT(3); return use(a) + 1; } int h(int a) { PARAVIRT(3); return use(a) + 1; }`,
    after: [['PARAVIRT(3)', 'PARAVIRT(4)']],
    expect: ['changed f'],
    on: x86,
    check: travels('.parainstructions'),
  },
  {
    name: 'another static call',
    before: `int f(int a) { STATIC_CALL(one); return use(a) + 1; } int h(int a) { STATIC_CALL(one); return use(a) + 1; }`,
    after: [['STATIC_CALL(one)', 'STATIC_CALL(two)']],
    expect: ['changed f'],
    on: x86,
    elsewhere: ['__SCK__one', '__SCK__two', '__SCT__one', '__SCT__two'],
    check: travels('.static_call_sites'),
  },
  {
    name: 'the key of a static call alone',
    before: `int f(int a) { STATIC_CALL(one); return use(a) + 1; } int h(int a) { STATIC_CALL(one); return use(a) + 1; }
#define MIXED() asm volatile("1: call __SCT__one\\n.pushsection .static_call_sites,\\"aw\\"\\n.balign 4\\n.long 1b - .\\n.long __SCK__two - .\\n.popsection")`,
    after: [
      ['#define MIXED', '#define UNUSED'],
      [
        'int f(int a) { STATIC_CALL(one)',
        '#define MIXED() asm volatile("1: call __SCT__one\\n.pushsection .static_call_sites,\\"aw\\"\\n.balign 4\\n.long 1b - .\\n.long __SCK__two - .\\n.popsection")\nint f(int a) { MIXED()',
      ],
    ],
    expect: ['changed f'],
    on: x86,
    elsewhere: ['__SCK__one', '__SCK__two', '__SCT__one', '__SCT__two'],
  },
  ...['.retpoline_sites', '.return_sites', '.call_sites'].map(
    (section): Case => ({
      name: `entries of ${section} travel with their function`,
      before: `int f(int a) { SITES("${section}"); return use(a) + 1; } int h(int a) { SITES("${section}"); return use(a) + 3; }`,
      after: [['+ 1', '+ 2']],
      expect: ['changed f'],
      on: x86,
      check: travels(section),
    }),
  ),
  {
    name: 'another function called by an alternative',
    before: `void one(void); void two(void); int f(int a) { ALTERNATIVE_CALL(one, 4); return use(a) + 1; } int h(int a) { ALTERNATIVE_CALL(one, 4); return use(a) + 1; }`,
    after: [['ALTERNATIVE_CALL(one', 'ALTERNATIVE_CALL(two']],
    expect: ['changed f'],
    on: x86,
  },
];

const onPower: readonly Case[] = [
  {
    name: 'a bug entry with addresses, before 5.14',
    before: `#define OLD_BUG(flags) asm volatile("1: twi 31,0,0\\n.pushsection __bug_table,\\"aw\\"\\n2: .8byte 1b, %c0\\n.short %c1, %c2\\n.org 2b+24\\n.popsection" : : "i"(__FILE__), "i"(__LINE__), "i"(flags))
int f(int a) { OLD_BUG(1); return use(a) + 1; } int h(int a) { OLD_BUG(1); return use(a) + 3; }`,
    after: [
      ['OLD_BUG(1); return use(a) + 1', 'OLD_BUG(3); return use(a) + 1'],
      ['int h(int a)', '\n\nint h(int a)'],
    ],
    expect: ['changed f'],
    on: power,
    kernel: { major: 5, minor: 4 },
  },
  ...['__mmu_ftr_fixup', '__fw_ftr_fixup'].map(
    (section): Case => ({
      name: `the mask of an entry of ${section}`,
      before: `int f(int a) { FEATURE("${section}", OLD, NEW1, 4); return use(a) + 1; } int h(int a) { FEATURE("${section}", OLD, NEW1, 4); return use(a) + 1; }`,
      after: [['OLD, NEW1, 4', 'OLD, NEW1, 8']],
      expect: ['changed f'],
      on: power,
      check: travels(section),
    }),
  ),
  {
    name: 'a feature section without an alternative',
    before: `int f(int a) { FEATURE("__ftr_fixup", OLD, "", 4); return use(a) + 1; } int h(int a) { FEATURE("__ftr_fixup", OLD, NEW1, 4); return use(a) + 1; }`,
    after: [
      ['OLD, "", 4', 'OLD, "", 8'],
      ['OLD, NEW1, 4', 'OLD, NEW1, 4'],
    ],
    expect: ['changed f'],
    on: power,
  },
  {
    name: 'the alternative behind an empty one changes',
    before: `int f(int a) { FEATURE("__ftr_fixup", OLD, "", 4); return use(a) + 1; } int h(int a) { FEATURE("__ftr_fixup", OLD, NEW1, 4); return use(a) + 1; }`,
    after: [['OLD, NEW1, 4', 'OLD, NEW2, 4']],
    expect: ['changed h'],
    on: power,
  },
  {
    name: 'an alternative that becomes longer',
    before: `int f(int a) { FEATURE("__ftr_fixup", OLD "; " OLD, NEW1, 4); return use(a) + 1; } int h(int a) { FEATURE("__ftr_fixup", OLD "; " OLD, NEW1 "; " NEW1, 4); return use(a) + 3; }`,
    after: [['OLD, NEW1, 4', 'OLD, NEW1 "; " NEW1, 4']],
    expect: ['changed f'],
    on: power,
  },
  ...[
    '__lwsync_fixup',
    '__barrier_nospec_fixup',
    '__rfi_flush_fixup',
    '__uaccess_flush_fixup',
    '__entry_flush_fixup',
  ].map(
    (section): Case => ({
      name: `a place of ${section} that goes`,
      before: `int f(int a) { PLACE("${section}"); return use(a) + 1; } int h(int a) { PLACE("${section}"); return use(a) + 3; }`,
      after: [['PLACE("', 'asm volatile(OLD); if (0) PLACE("']],
      expect: ['changed f'],
      on: power,
    }),
  ),
  {
    name: 'places travel with their function',
    before: `int f(int a) { PLACE("__lwsync_fixup"); return use(a) + 1; } int h(int a) { PLACE("__lwsync_fixup"); return use(a) + 3; }`,
    after: [['+ 1', '+ 2']],
    expect: ['changed f'],
    on: power,
    check: travels('__lwsync_fixup'),
  },
  {
    name: 'a range of __btb_flush_fixup',
    before: `int f(int a) { RANGE("__btb_flush_fixup"); return use(a) + 1; } int h(int a) { RANGE("__btb_flush_fixup"); return use(a) + 3; }`,
    after: [['+ 1', '+ 2']],
    expect: ['changed f'],
    on: power,
    check: travels('__btb_flush_fixup'),
  },
];

const onZ: readonly Case[] = [
  {
    name: 'twelve bytes of an alternative before 5.18',
    before: `#define OLDER(old, new, feature) asm volatile(".pushsection .altinstr_replacement,\\"ax\\"\\n6641: " new "\\n6651:\\n.popsection\\n661: " old "\\n662:\\n.pushsection .altinstructions,\\"a\\"\\n.long 661b - .\\n.long 6641b - .\\n.word " #feature "\\n.byte 662b-661b\\n.byte 6651b-6641b\\n.popsection" : : : "memory")
int f(int a) { OLDER(OLD, NEW1, 4); return use(a) + 1; } int h(int a) { OLDER(OLD, NEW1, 4); return use(a) + 3; }`,
    after: [['OLD, NEW1', 'OLD, NEW2']],
    expect: ['changed f'],
    on: z,
    kernel: { major: 5, minor: 14 },
  },
  {
    name: 'entries of the exception table with a handler, before 5.18',
    before: `void one(void); void two(void);
#define HANDLED(p, handler) ({ int v = 0; asm volatile("1: l %0,%1\\n2: nopr\\n4: nopr\\n.pushsection __ex_table,\\"a\\"\\n.balign 8\\n.long 1b - .\\n.long 2b - .\\n.quad " #handler " - .\\n.popsection" : "+d"(v) : "R"(*(p))); v; })
int f(int *p) { return HANDLED(p, one) + 1; } int h(int *p) { return HANDLED(p, one) + 3; }`,
    after: [['(p, one) + 1', '(p, two) + 1']],
    expect: ['changed f'],
    on: z,
    kernel: { major: 5, minor: 14 },
  },
  {
    name: 'returns and indirect calls keep their places in the tables of expolines',
    before: `int f(int (*p)(int), int a) { return p(a) + 1; } int h(int (*p)(int), int a) { return p(a) + 3; }`,
    after: [['+ 1', '+ 2']],
    expect: ['changed f'],
    on: ({ arch, clang }) => arch === 's390x' && !clang,
    check: (result) => {
      travels('.s390_indirect_call')(result);
      travels('.s390_return_mem')(result);
      assert.ok(result.travelling.some(({ name }) => name === '__s390_indirect_jump_r14'));
    },
  },
  {
    name: 'the recorded loads of the stack protector guard, as gcc 15 writes them',
    before: `#define GUARD asm volatile("1: larl %%r1,__stack_chk_guard\\n.pushsection __stack_protector_loc,\\"a\\"\\n.quad 1b\\n.popsection" : : : "r1")
int f(int a) { GUARD; return use(a) + 1; } int h(int a) { GUARD; return use(a) + 3; }`,
    after: [['+ 1', '+ 2']],
    expect: ['changed f'],
    on: z,
    elsewhere: ['__stack_chk_guard'],
    check: travels('__stack_protector_loc'),
  },
  {
    name: 'a thunk for a register that none was for is no new function of the patch',
    before: `int f(int (*p)(int), int a) { return use(a) + 1; }`,
    after: `int f(int (*p)(int), int a) { return p(a) + 1; }`,
    expect: ['changed f'],
    on: z,
  },
  {
    name: 'eleven bytes of an alternative, thirteen since 6.11',
    before:
      `int f(int a) { ALTERNATIVE(OLD, NEW1, 0x12345); return use(a) + 1; } int h(int a) { ALTERNATIVE(OLD, NEW1, 4); return use(a) + 3; }`
        .replaceAll('ALTERNATIVE(', 'NEWER(')
        .replace(
          'int f',
          `#define NEWER(old, new, feature) asm volatile(".pushsection .altinstr_replacement,\\"ax\\"\\n6641: " new "\\n6651:\\n.popsection\\n661: " old "\\n662:\\n.pushsection .altinstructions,\\"a\\"\\n.long 661b - .\\n.long 6641b - .\\n.long " #feature "\\n.byte 662b-661b\\n.popsection" : : : "memory")\nint f`,
        ),
    after: [['0x12345', '0x22345']],
    expect: ['changed f'],
    on: z,
    kernel: { major: 6, minor: 12 },
  },
];

const onArm: readonly Case[] = [
  {
    name: 'a replacement in .altinstr_replacement',
    before: `int f(int a) { OLD_ALTERNATIVE(OLD, NEW1, 4); return use(a) + 1; } int h(int a) { OLD_ALTERNATIVE(OLD, NEW1, 4); return use(a) + 3; }`,
    after: [['NEW1', 'NEW2']],
    expect: ['changed f'],
    on: arm,
    check: travels('.altinstr_replacement'),
  },
  {
    name: 'another callback of an alternative',
    before: `__used static void one(void) { use(1); } __used static void two(void) { use(2); } int f(int a) { ALTERNATIVE_CB(OLD, 4, one); return use(a) + 1; } int h(int a) { ALTERNATIVE_CB(OLD, 4, one); return use(a) + 3; }`,
    after: [['4, one', '4, two']],
    expect: ['changed f'],
    on: arm,
  },
];

/** An entry of the bug table that has the format as well, as x86-64 has it since 6.19. */
const FORMATTED =
  '#define FORMATTED(flags) asm volatile("1: " TRAP "\\n.pushsection __bug_table,\\"aw\\"\\n2: .long 1b - .\\n.long 0\\n.long %c0 - .\\n.short %c1, %c2\\n.popsection" : : "i"(__FILE__), "i"(__LINE__), "i"(flags))\n';

export const tableCases: readonly Case[] = [
  {
    name: 'shifted lines in a bug table with formats',
    before: `${FORMATTED}int f(int a) { FORMATTED(1); return use(a) + 1; } int h(int a) { FORMATTED(1); return use(a) + 3; }`,
    after: `${FORMATTED}\n\n\nint f(int a) { FORMATTED(1); return use(a) + 1; } int h(int a) { FORMATTED(1); return use(a) + 3; }`,
    expect: [],
    kernel: { major: 6, minor: 19 },
  },
  {
    name: 'other flags in a bug table with formats, whose size is told',
    before: `${FORMATTED}int f(int a) { FORMATTED(1); return use(a) + 1; }\nint h(int a) { FORMATTED(1); return use(a) + 3; }`,
    after: [
      ['FORMATTED(1); return use(a) + 1', 'FORMATTED(3); return use(a) + 1'],
      ['\nint h', '\n\nint h'],
    ],
    expect: ['changed f'],
    options: { entrySizes: { __bug_table: 16 } },
  },
  {
    name: 'another replacement of an alternative',
    before: `int f(int a) { ALTERNATIVE(OLD, NEW1, 4); return use(a) + 1; } int h(int a) { ALTERNATIVE(OLD, NEW1, 4); return use(a) + 3; }`,
    after: [['NEW1', 'NEW2']],
    expect: ['changed f'],
  },
  {
    name: 'another feature of an alternative',
    before: `int f(int a) { ALTERNATIVE(OLD, NEW1, 4); return use(a) + 1; } int h(int a) { ALTERNATIVE(OLD, NEW1, 4); return use(a) + 3; }`,
    after: [['NEW1, 4', 'NEW1, 5']],
    expect: ['changed f'],
  },
  {
    name: 'an alternative that goes',
    before: `int f(int a) { ALTERNATIVE(OLD, NEW1, 4); return use(a) + 1; } int h(int a) { ALTERNATIVE(OLD, NEW1, 4); return use(a) + 3; }`,
    after: [['ALTERNATIVE(OLD, NEW1, 4)', 'asm volatile(OLD : : : "memory")']],
    expect: ['changed f'],
  },
  {
    name: 'an alternative that comes before others',
    before: `int f(int a) { return use(a) + 1; } int h(int a) { ALTERNATIVE(OLD, NEW1, 4); return use(a) + 3; }`,
    after: [['return use(a) + 1', 'ALTERNATIVE(OLD, NEW2, 7); return use(a) + 1']],
    expect: ['changed f'],
    check: (result, { arch }) => travels(arch === 'ppc64le' ? '__ftr_fixup' : '.altinstructions')(result),
  },
  {
    name: 'another place to go on after a fault',
    before: `int f(int *p) { return PROBE_AT(p, "2b", 3); } int h(int *p) { return PROBE_AT(p, "2b", 3) + 1; }`,
    after: [['"2b"', '"4f"']],
    expect: ['changed f'],
    check: travels('__ex_table'),
  },
  {
    name: 'an entry of the exception table that goes',
    before: `int f(int *p) { return PROBE(p); } int h(int *p) { return PROBE(p) + 1; }`,
    after: [['PROBE(p)', 'PROBE_BARE(p)']],
    expect: ['changed f'],
  },
  {
    name: 'another kind of fixup',
    before: `int f(int *p) { return PROBE_AT(p, "2b", 3); } int h(int *p) { return PROBE_AT(p, "2b", 3) + 1; }`,
    after: [['"2b", 3', '"2b", 4']],
    expect: ['changed f'],
    on: ({ arch }) => arch !== 'ppc64le',
  },
  {
    name: 'other code in .fixup',
    before: `int f(int *p) { return PROBE_FIXUP(p, 5); } int h(int *p) { return PROBE_FIXUP(p, 5) + 1; }`,
    after: [['PROBE_FIXUP(p, 5)', 'PROBE_FIXUP(p, 6)']],
    expect: ['changed f'],
    check: travels('.fixup'),
  },
  {
    name: 'code in .fixup that comes before others',
    before: `int f(int *p) { return use(1) + 4; } int h(int *p) { return PROBE_FIXUP(p, 5) + 1; }`,
    after: [['use(1) + 4', 'use(1) + PROBE_FIXUP(p, 6)']],
    expect: ['changed f'],
  },
  {
    name: 'another key of a jump label',
    before: `struct static_key one, two; int f(int a) { if (static_branch(&one)) return use(a) + 1; return 5; } int h(int a) { if (static_branch(&one)) return use(a) + 2; return two.enabled; }`,
    after: [['&one', '&two']],
    expect: ['changed f'],
    check: travels('__jump_table'),
  },
  {
    name: 'the flag of a jump label',
    before: `static struct static_key one; int f(int a) { if (STATIC_BRANCH(&one, 0)) return use(a) + 1; return 5; } int h(int a) { if (STATIC_BRANCH(&one, 0)) return use(a) + 2; return one.enabled; }`,
    after: [['&one, 0', '&one, 1']],
    expect: ['changed f'],
  },
  {
    name: 'a jump label whose key is in a module',
    before: `static struct static_key one; int f(int a) { if (static_branch(&one)) return use(a) + 1; return one.enabled; }`,
    after: [['+ 1', '+ 2']],
    expect: 'diff-key-module',
    object: 'some_module',
  },
  {
    name: 'a jump label whose key is not exported, before 5.8',
    before: `static struct static_key one; int f(int a) { if (static_branch(&one)) return use(a) + 1; return one.enabled; }`,
    after: [['+ 1', '+ 2']],
    expect: 'diff-key-early',
    kernel: { major: 5, minor: 4 },
  },
  {
    name: 'a tracepoint of a module is off',
    before: `extern struct static_key __tracepoint_seen; int f(int a) { if (static_branch(&__tracepoint_seen)) return use(a) + 1; return 4; }`,
    after: [['+ 1', '+ 2']],
    expect: ['changed f'],
    notes: [/tracepoint seen is disabled/],
    object: 'some_module',
    elsewhere: ['__tracepoint_seen'],
  },
  {
    name: 'the format of pr_debug',
    before: `int f(int a) { pr_debug("one %d\\n", a); return use(a) + 1; } int h(int a) { pr_debug("one %d\\n", a); return use(a) + 3; }`,
    after: [['"one', '"two']],
    expect: ['changed f'],
  },
  {
    name: 'a pr_debug that comes before another',
    before: `int f(int a) { return use(a) + 1; } int h(int a) { pr_debug("one %d\\n", a); return use(a) + 3; }`,
    after: [['return use(a) + 1', 'pr_debug("new\\n"); return use(a) + 1']],
    expect: ['changed f'],
  },
  {
    name: 'a WARN_ON that comes before another',
    before: `int f(int a) { return use(a) + 1; } int h(int a) { WARN_ON(a == 4); return use(a) + 3; }`,
    after: [['return use(a) + 1', 'WARN_ON(a == 7); return use(a) + 1']],
    expect: ['changed f'],
    check: travels('__bug_table'),
  },
  {
    name: 'a trap loses its entry in the bug table',
    before: `int f(int a) { BUG_TABLE(TRAP, 1); return use(a) + 1; } ${g}`,
    after: [['BUG_TABLE(TRAP, 1)', 'asm volatile("1: " TRAP)']],
    expect: ['changed f'],
  },
  {
    name: 'the file of a bug entry',
    before: `int f(int a) { BUG_TABLE(TRAP, 1); return use(a) + 1; } ${g}`,
    after: `#line 1 "b.c"\nint f(int a) { BUG_TABLE(TRAP, 1); return use(a) + 1; } ${g}`,
    expect: ['changed f'],
  },
  {
    name: 'the place of ftrace travels',
    before: 'int f(int a) { return use(a) + 1; } int h(int a) { return use(a) + 3; }',
    after: [['+ 1', '+ 2']],
    expect: ['changed f'],
    check: ({ travelling }, { arch, clang }) => {
      const table = arch === 'aarch64' ? '__patchable_function_entries' : '__mcount_loc';
      if (!clang && arch !== 'ppc64le') assert.ok(travelling.some(({ name }) => name === `1 of ${table}`));
    },
  },
  ...onX86,
  ...onPower,
  ...onZ,
  ...onArm,
];

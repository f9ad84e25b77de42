/** Tables of places that objtool, compilers and macros list, what goes with functions, and what a patch says to kpatch. */
import assert from 'node:assert/strict';
import { type Case, onArch } from './case.ts';
import type { Target } from './targets.ts';
import { travels } from './verdict.ts';

const both = (macro: string): string =>
  `int f(int a) { ${macro}; return use(a) + 1; } int h(int a) { ${macro}; return use(a) + 3; }`;

/** One of two functions changes: its entry is included, and no other. */
const travelling = (section: string, macro: string, ...on: readonly Target['arch'][]): Case => ({
  name: `places of ${section}`,
  before: both(macro),
  after: [['+ 1', '+ 2']],
  expect: ['changed f'],
  on: onArch(...on),
  check: ({ travelling: all }) => assert.ok(all.some(({ name }) => name === `1 of ${section}`)),
});

/** An entry that goes, of a table that says what the kernel does with the code. */
const going = (section: string, ...on: readonly Target['arch'][]): Case => ({
  name: `a place of ${section} that goes`,
  before: both(`SITES("${section}")`),
  after: [[`SITES("${section}")`, 'asm volatile(OLD)']],
  expect: ['changed f'],
  on: onArch(...on),
});

const expolines = [
  '.s390_indirect_jump',
  '.s390_indirect_call',
  '.s390_indirect_branches',
  '.s390_return_mem',
  '.s390_return_reg',
  '.s390_return',
];

export const siteCases: readonly Case[] = [
  {
    name: 'another feature that is tested out of line (.altinstr_aux)',
    before: `extern char capabilities[]; ${both('if (HAS(35)) use3(a)')}`,
    after: [['HAS(35)', 'HAS(43)']],
    expect: ['changed f'],
    on: onArch('x86-64'),
    elsewhere: ['capabilities'],
    check: (result) => {
      travels('.altinstr_aux')(result);
      travels('.altinstr_replacement')(result);
    },
  },
  {
    name: 'a function with a test out of line changes (.altinstr_aux)',
    before: `extern char capabilities[]; ${both('if (HAS(35)) use3(a)')}`,
    after: [['+ 1', '+ 2']],
    expect: ['changed f'],
    on: onArch('x86-64'),
    elsewhere: ['capabilities'],
    check: ({ travelling: all }) => {
      assert.equal(all.filter(({ section }) => section === '.altinstr_aux').length, 1);
      assert.ok(all.some(({ name }) => name === '2 of .altinstructions'));
    },
  },
  travelling('.ibt_endbr_seal', 'SITES(".ibt_endbr_seal")', 'x86-64'),
  travelling('.cfi_sites', 'SITES(".cfi_sites")', 'x86-64'),
  travelling('.kcfi_traps', 'SITES(".kcfi_traps")', 'x86-64', 'aarch64'),
  travelling('__kcfi_traps', 'SITES("__kcfi_traps")', 'x86-64', 'aarch64'),
  travelling('.orc_unwind_ip', 'UNWIND(7)', 'x86-64', 'loongarch64'),
  ...expolines.map((section) => going(section, 's390x')),
  {
    name: 'another check of the type of an indirect call (kCFI)',
    before:
      'int f(int (*p)(int), int a) { return p(a) + 1; } int h(int (*p)(int), int a) { return p(a) + 3; } int g(int a) { return use(a) + 9; }',
    after: [['int f(int (*p)(int), int a) { return p(a)', 'int f(int (*p)(long), int a) { return p(a)']],
    expect: ['changed f'],
    on: ({ name }) => /kCFI/.test(name),
    // On aarch64 the trap itself says what it is.
    check: (result, { arch }) => {
      if (arch === 'x86-64') travels('.kcfi_traps')(result);
    },
  },
  {
    name: 'a trampoline of a static call',
    before:
      'asm(".section .static_call.text,\\"ax\\"\\n.globl __SCT__one\\n.type __SCT__one,@function\\n__SCT__one: jmp use\\n.size __SCT__one,.-__SCT__one\\n.previous"); int f(int a) { return use(a) + 1; }',
    after: [['jmp use', 'jmp use3']],
    expect: 'diff-unpatchable',
    on: onArch('x86-64'),
  },
  {
    name: 'padding before a function that objtool has named',
    before:
      'asm(".section .text.f,\\"ax\\"\\n.type __pfx_f,@function\\n__pfx_f: nop; nop; nop; nop\\n.size __pfx_f,4\\n.globl f\\n.type f,@function\\nf: call __fentry__\\n call use\\n ret\\n.size f,.-f\\n.previous"); int g(int a) { return use(a) + 1; }',
    after: [['call use\\n', 'call use3\\n']],
    expect: ['changed f'],
    on: onArch('x86-64'),
    check: ({ functions }) => assert.deepEqual(functions[0]!.aliases, []),
  },
  {
    name: 'a descriptor of dynamic debug as older kernels have it (__verbose)',
    before:
      '#undef pr_debug\n#define pr_debug(fmt, ...) ({ static struct _ddebug __attribute__((aligned(8), section("__verbose"))) descriptor = { "m", __func__, __FILE__, fmt, __LINE__, 0, 0 }; if (unlikely(descriptor.flags & 1)) __dynamic_pr_debug(&descriptor, fmt, ##__VA_ARGS__); })\nint f(int a) { pr_debug("one %d\\n", a); return use(a) + 1; }\nint h(int a) { pr_debug("one %d\\n", a); return use(a) + 3; }',
    after: [['+ 1; }\n', '+ 2; }\n\n\n']],
    expect: ['changed f'],
    check: ({ travelling: all }) => assert.equal(all.filter(({ section }) => section === '__verbose').length, 1),
  },
  {
    name: 'a tracepoint of the kernel image',
    before: `DEFINE_TRACE(seen); ${both('if (static_branch(&__tracepoint_seen.key)) use3(a)')}`,
    after: [['+ 1', '+ 2']],
    expect: ['changed f'],
    check: ({ references, travelling: all }) => {
      assert.ok(references.some(({ name }) => name === '__tracepoint_seen'));
      assert.ok(!all.some(({ section }) => section === '__tracepoints'));
    },
  },
  {
    name: 'a new tracepoint',
    before: 'int f(int a) { return use(a) + 1; }',
    after:
      'DEFINE_TRACE(seen); int f(int a) { if (static_branch(&__tracepoint_seen.key)) use3(a); return use(a) + 1; }',
    expect: ['changed f'],
    check: travels('__tracepoints'),
  },
  {
    name: 'an export with a namespace',
    before: 'int f(int a) { return use(a) + 1; }',
    after: [['use(a)', 'use(a) + use3(a)']],
    expect: ['changed f'],
    options: {
      exported: (name) => (name === 'use3' ? { module: 'vmlinux', gpl: true, namespace: 'APART' } : undefined),
    },
    check: ({ namespaces, references }) => {
      assert.deepEqual(namespaces, ['APART']);
      assert.ok(references.some(({ name, exported }) => name === 'use3' && exported));
    },
  },
  {
    name: 'a callback of the patch',
    before: 'int f(int a) { return use(a) + 1; }',
    after:
      'int f(int a) { return use(a) + 1; } static int prepare(void *object) { return use(7); } static __used int (*const kpatch_pre_patch_data)(void *) __attribute__((section(".kpatch.callbacks.pre_patch"))) = prepare;',
    expect: ['new prepare'],
    check: ({ callbacks }) => assert.equal(callbacks, true),
  },
  {
    name: 'a structure with a new member',
    before: 'struct s { int a; long b; }; int f(struct s *p) { return use(p->a) + p->b + 1; }',
    after: [
      ['int a; long b;', 'int a; long fresh; long b;'],
      ['+ 1', '+ p->fresh'],
    ],
    expect: 'diff-layout-changed',
    flags: ['-g'],
  },
  {
    name: 'a static function becomes global',
    before:
      'static __attribute__((noipa)) noinline int h(int a) { return use(a) + 1; } int f(int a) { return h(a) * 2; }',
    after: [['static __attribute__((noipa))', '__attribute__((noipa))']],
    expect: [],
    on: ({ name, arch }) => !/IBT|BTI|kCFI/.test(name) && arch !== 'ppc64le',
  },
  {
    name: 'new code calls by pointer what the kernel has sealed',
    before:
      'typedef int fn(int); int take(fn *); noinline int one(int a) { SITES(".ibt_endbr_seal"); return use(a) * 3; } int f(void) { return one(4) + take(0); }',
    after: [['take(0)', 'take(one)']],
    expect: 'diff-sealed',
    on: onArch('x86-64'),
  },
];

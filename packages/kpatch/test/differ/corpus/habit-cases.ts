/**
 * Habits of compilers that the corpus has not at hand, most of all gcc 4.8 to 10: names by asm labels, sections by
 * attributes, tables as assembler and recordmcount left them.
 */
import assert from 'node:assert/strict';
import { type Case, onArch } from './case.ts';

/** Before gcc 5 the strings of all functions were in one section. */
const oldSections = ['-fno-function-sections'];
const at = (name: string): string => `__attribute__((section(".text.${name}")))`;

/** Messages of netlink (NL_SET_ERR_MSG): static locals with the same name, all of one function. */
const messages = (after: readonly (readonly [string, string])[], name: string): Case[] => [
  {
    name: `several messages of netlink in a function: ${name}`,
    before: `struct ext { const char *msg; };
#define SET(e, text) do { static const char __msg[] = text; if (e) (e)->msg = __msg; } while (0)
int f(struct ext *e, int a) { if (a == 1) { SET(e, "first one"); return -1; } if (a == 2) { SET(e, "second"); return -2; } if (a == 3) { SET(e, "third\\n"); return -3; } return use(a) + 1; }
int g(struct ext *e, int a) { if (a == 4) { SET(e, "g first"); return 1; } SET(e, "g"); return use(a); }`,
    after,
    expect: ['changed f'],
  },
];

export const habitCases: readonly Case[] = [
  {
    name: 'static locals that are numbered by all declarations before them (gcc until 9)',
    before:
      'int f(int a) { static int count asm("count.45012"); count += a; return use(count) + 1; } int g(int a) { static int count asm("count.45020"); count -= a; return use(count) + 2; }',
    after: [
      ['count.45012', 'count.45099'],
      ['count.45020', 'count.45107'],
      ['+ 2', '+ 7'],
    ],
    expect: ['changed g'],
    check: ({ references, travelling }) => {
      assert.ok(references.some(({ name }) => name === 'count.45020'));
      assert.deepEqual(
        travelling.filter(({ kind }) => kind === 'data'),
        [],
      );
    },
  },
  {
    name: 'static locals whose numbers are now those of others',
    before:
      'int f(int a) { static int count asm("count.45012"); count += a; return use(count) + 1; } int g(int a) { static int count asm("count.45020"); count -= a; return use(count) + 2; }',
    after: [
      ['count.45012', 'count.x'],
      ['count.45020', 'count.45012'],
      ['count.x', 'count.45020'],
    ],
    expect: [],
  },
  {
    name: 'one of two static locals of one name in one function goes, and numbers tell nothing',
    before:
      'int f(int a) { if (a & 1) { static int n asm("n.101"); return use(n++) + 1; } else { static int n asm("n.102"); return use(n--) + 2; } }',
    after:
      'int f(int a) { if (a & 1) { static int n asm("n.150"); return use(n++) + 1; } else { return use(a) + 2; } }',
    expect: 'diff-local-ambiguous',
  },
  {
    name: 'functions with several suffixes and numbers',
    before:
      'static noinline int h(int) asm("h.isra.17.constprop.23"); static noinline int k(int) asm("k.part.3"); int f(int a) { return h(a) + k(a); } static noinline int h(int a) { return use(a) + 1; } static noinline int k(int a) { return use(a) * 3; }',
    after: [
      ['h.isra.17.constprop.23', 'h.isra.19.constprop.26'],
      ['k.part.3', 'k.part.5'],
      ['+ 1', '+ 2'],
    ],
    expect: ['changed h'],
    check: ({ functions }) => assert.equal(functions[0]!.name, 'h.isra.17.constprop.23'),
  },
  {
    name: 'a static local moves from a split-off part into the whole function',
    before:
      'static noinline int h(int) asm("h.part.0"); int f(int a) { return h(a) + 1; } static noinline int h(int a) { static int count asm("count.34770"); return use(count += a); } int k(int a) { static int count asm("count.34775"); return use(count -= a); }',
    after: [
      ['asm("h.part.0")', ''],
      ['count.34770', 'count.34790'],
      ['count.34775', 'count.34770'],
    ],
    expect: ['changed f', 'new h'],
    check: ({ references, travelling }) => {
      assert.ok(references.some(({ name }) => name === 'count.34770'));
      assert.ok(!travelling.some(({ kind }) => kind === 'data'));
    },
  },
  {
    name: 'a static local stays the same when its function loses arguments (.isra.53)',
    before:
      'static noinline int h(int); int f(int a) { return h(a) + 1; } static noinline int h(int a) { static int count asm("count.54874"); return use(count += a); }',
    after: [
      ['static noinline int h(int);', 'static noinline int h(int) asm("h.isra.53");'],
      ['count.54874', 'count.54948'],
    ],
    expect: ['changed f', 'new h'],
    check: ({ references }) => assert.ok(references.some(({ name }) => name === 'count.54874')),
  },
  {
    name: 'a static local that nothing uses any more',
    before:
      'int f(int a) { static int spare asm("spare.52945"); if (a == 3) use(spare++); return use(a) + 1; } int g(int a) { return use(a) + 2; }',
    after: 'int f(int a) { return use(a) + 1; } int g(int a) { return use(a) + 2; }',
    expect: ['changed f'],
  },
  ...messages([['+ 1', '+ 2']], 'the same'),
  ...messages([['if (a == 2)', 'if (a == 9) { SET(e, "inserted"); return -9; } if (a == 2)']], 'a new one'),
  ...messages([['if (a == 2) { SET(e, "second"); return -2; }', '']], 'one goes'),
  ...messages([['"second"', '"secone"']], 'another text'),
  {
    name: 'static locals that are constants, one of which is new',
    before:
      'int f(int a) { if (a & 1) { static const int t[] = { 7, 8, 9 }; return use(t[a]) + 1; } { static const int t[] = { 17, 18, 19 }; return use(t[a]); } }',
    after: [['if (a & 1)', 'if (a & 4) { static const int t[] = { 27, 28, 29 }; return use(t[a]) + 5; } if (a & 1)']],
    expect: ['changed f'],
  },
  {
    name: 'constants without relocations in the table of contents (gcc 9 on ppc64le)',
    before:
      'asm(".section .toc,\\"aw\\"\\n.align 3\\n.LC9: .quad 0x123456789abcdef\\n.previous"); int f(int a) { long v; asm("addis %0,2,.LC9@toc@ha\\n ld %0,.LC9@toc@l(%0)" : "=b"(v)); return use(a + v) + 1; } int g(int a) { return use(a) + 2; }',
    after: [['0x123456789abcdef', '0x123456789abcdee']],
    expect: ['changed f'],
    on: onArch('ppc64le'),
  },
  {
    name: 'functions that clang renamed with a digest of the file',
    before:
      'static noinline int h(int) asm("h.llvm.1234567890123"); int f(int a) { return h(a) + 1; } static noinline int h(int a) { return use(a) + 1; }',
    after: [
      ['1234567890123', '9876543210987'],
      ['h(a) + 1', 'h(a) + 2'],
    ],
    expect: ['changed f'],
  },
  {
    name: 'a cold part with a number (gcc 8)',
    before: `asm(".section .text.unlikely.f,\\"ax\\"\\n.type f.cold.7,%function\\nf.cold.7: " OLD "\\n" OLD "\\n.size f.cold.7,.-f.cold.7\\n.previous"); ${at('f')} int f(int a) { return use(a) + 1; }`,
    after: [
      ['OLD "\\n" OLD', 'OLD "\\n" NEW1'],
      ['.type f.cold.7,', '.type f.cold.9,'],
      ['f.cold.7: ', 'f.cold.9: '],
      ['.size f.cold.7,.-f.cold.7', '.size f.cold.9,.-f.cold.9'],
    ],
    expect: ['changed f'],
  },
  {
    name: 'other numbers of cold parts',
    before: `asm(".section .text.unlikely.f,\\"ax\\"\\n.type f.cold.7,%function\\nf.cold.7: " OLD "\\n" OLD "\\n.size f.cold.7,.-f.cold.7\\n.previous"); ${at('f')} int f(int a) { return use(a) + 1; }`,
    after: [
      ['.type f.cold.7,', '.type f.cold.9,'],
      ['f.cold.7: ', 'f.cold.9: '],
      ['.size f.cold.7,.-f.cold.7', '.size f.cold.9,.-f.cold.9'],
    ],
    expect: [],
  },
  {
    name: 'cold parts of all functions in one section',
    before: `asm(".section .text.unlikely,\\"ax\\"\\n.type f.cold,%function\\nf.cold: " OLD "\\n" OLD "\\n.size f.cold,.-f.cold\\n.type g.cold,%function\\ng.cold: " OLD "\\n.size g.cold,.-g.cold\\n.previous"); int f(int a) { return use(a) + 1; } int g(int a) { return use(a) + 2; }`,
    after: [['f.cold: " OLD "\\n" OLD', 'f.cold: " OLD "\\n" NEW1']],
    expect: ['changed f'],
  },
  {
    name: 'empty sections for cold code (gcc 4.9 to 7)',
    before: `asm(".section .text.unlikely.f,\\"ax\\"\\n.previous\\n.section .text.unlikely.g,\\"ax\\"\\n.previous"); int f(int a) { return use(a) + 1; } int g(int a) { return use(a) + 2; }`,
    after: [
      ['.section .text.unlikely.g', '.section .text.unlikely.h'],
      ['+ 1', '+ 3'],
    ],
    expect: ['changed f'],
  },
  {
    name: 'names of functions with numbers',
    before:
      'int f(int a) { static const char name[] asm("__func__.40001") = "f"; return use2(name, a) + 1; } int g(int a) { static const char name[] asm("__func__.40007") = "g"; return use2(name, a) + 2; }',
    after: [
      ['40001', '40013'],
      ['40007', '40019'],
      ['+ 2', '+ 3'],
    ],
    expect: ['changed g'],
  },
  {
    name: 'strings of all functions in one section',
    before: `${at('f')} void f(int a) { printk("first"); use(a); } ${at('g')} void g(int a) { printk("second"); use(a + 1); }`,
    after: [['"first"', '"longer than first"']],
    expect: ['changed f'],
    flags: oldSections,
  },
  {
    name: 'another compiler order of everything',
    before:
      'static int one = 1, two = 2; static noinline int h(int a) { return use(a + one); } int f(int a) { printk("f"); return h(a) + two; } int g(int a) { one++; two--; printk("g"); return h(a) + 3; }',
    after: [['+ 3', '+ 4']],
    expect: ['changed g'],
    flags: ['-fno-toplevel-reorder'],
    on: ({ clang }) => !clang,
  },
  {
    name: 'position-independent code, as s390x and loongarch64 have it',
    before:
      'extern int shared; int own = 3; static int hidden = 4; static const char *const names[] = { "one", "two" }; int f(int a) { return use2(names[a], shared + own + hidden++) + 1; } int g(int a) { return use2(names[a], hidden) + shared; }',
    after: [['+ 1', '+ 2']],
    expect: ['changed f'],
    flags: ['-fPIE'],
    on: onArch('s390x', 'loongarch64'),
    elsewhere: ['shared'],
  },
  {
    name: 'another variable in position-independent code',
    before:
      'extern int shared, other; int f(int a) { return use(shared + a) + 1; } int g(int a) { return use(other) + use(shared); }',
    after: [['use(shared + a)', 'use(other + a)']],
    expect: ['changed f'],
    flags: ['-fPIC'],
    on: onArch('s390x', 'loongarch64'),
    elsewhere: ['shared', 'other'],
  },
  {
    name: 'checks of UBSAN in position-independent code on other lines',
    before: 'int t[8]; int f(int a, int b) { return use(a << b) + t[a]; } int g(int a) { return t[a] + 1; }',
    after: '\n\nint t[8]; int f(int a, int b) { return use(a << b) + t[a]; } int g(int a) { return t[a] + 1; }',
    expect: [],
    flags: ['-fsanitize=shift,bounds', '-fPIE'],
    on: onArch('s390x', 'loongarch64'),
  },
];

/** Functions: bodies, parts that the compiler splits off, names, sections, what cannot be replaced. */
import assert from 'node:assert/strict';
import { type Case, onArch, onGcc } from './case.ts';

const split = 'noinline';

export const codeCases: readonly Case[] = [
  {
    name: 'the same source',
    before: 'int f(int a) { return use(a) + 1; }',
    after: [],
    expect: [],
  },
  {
    name: 'another constant in a body',
    before: 'int f(int a) { return use(a) + 1; } int g(int a) { return use(a) + 3; }',
    after: [['+ 1', '+ 2']],
    expect: ['changed f'],
  },
  {
    name: 'another function is called',
    before: 'int f(int a) { return use(a) + 1; }',
    after: [['use(a)', 'use3(a)']],
    expect: ['changed f'],
  },
  {
    name: 'another static function is called',
    before: `static ${split} int one(int a) { return use(a) * 3; } static ${split} int two(int a) { return use(a) * 5; } int f(int a) { return one(a) + two(a); } int g(int a) { return one(a) - two(a) + 1; }`,
    after: [['one(a) - two(a)', 'two(a) - two(a)']],
    expect: ['changed g'],
  },
  {
    name: 'a new static function travels with its caller',
    before: 'int f(int a) { return use(a); }',
    after: `static ${split} int g(int a) { return use(a + 1); } int f(int a) { return g(a) + 2; }`,
    expect: ['changed f', 'new g'],
  },
  {
    name: 'a new global function',
    before: 'int f(int a) { return use(a) + 1; }',
    after: 'int f(int a) { return use(a) + 1; } int g(int a) { return use(a + 1) + 1; }',
    expect: ['new g'],
  },
  {
    name: 'a static function that goes',
    before: `static ${split} int h(int a) { return use(a) + 1; } int f(int a) { return h(a) * 2; }`,
    after: 'int f(int a) { return use(a) * 2; }',
    expect: ['changed f'],
  },
  {
    name: 'a function inlined into two',
    before:
      'static inline __attribute__((always_inline)) int h(int a) { return use(a) + 1; } int f(int a) { return h(a) * 2; } int g(int a) { return h(a) * 3; } int k(int a) { return use(a); }',
    after: [['use(a) + 1', 'use(a) + 7']],
    expect: ['changed f', 'changed g'],
  },
  {
    name: 'functions in another order',
    before: `static ${split} int h(int a) { static int n; return use(a) + n++; } int f(int a) { return h(a) * 2; } int g(int a) { return h(a) * 3; }`,
    after: `static ${split} int h(int); int g(int a) { return h(a) * 3; } int f(int a) { return h(a) * 2; } static ${split} int h(int a) { static int n; return use(a) + n++; }`,
    expect: [],
  },
  {
    name: 'a function without an unused argument (isra, constprop)',
    before: `static ${split} int h(int *p, int unused) { return use(*p) + 1; } int f(int *p) { return h(p, 4) * 2; } int g(int *p) { return h(p, 5) * 3; }`,
    after: [['use(*p) + 1', 'use(*p) + 2']],
    expect: ['changed h'],
    on: onGcc,
  },
  {
    name: 'an isra of other number',
    before: `struct s { int a, b; }; static ${split} int h(struct s *p, int q) { return use(p->a) + 1; } int f(struct s *p) { return h(p, 4) * 2; }`,
    after: `struct s { int a, b; }; static ${split} int k(struct s *p, int q) { return use(p->b) + 5; } static ${split} int h(struct s *p, int q) { return use(p->a) + 1; } int f(struct s *p) { return h(p, 4) * 2; } int g(struct s *p) { return k(p, 4) * 2; }`,
    expect: ['new g', 'new k'],
    on: onGcc,
  },
  {
    name: 'a change in the cold part alone',
    before:
      'int f(int a) { if (unlikely(a == 5)) { cold_use(a); cold_use(a + 1); return use(7); } return use(a) * 3; } int g(int a) { if (unlikely(a == 9)) { cold_use(a); return use(8); } return use(a) * 4; }',
    after: [['cold_use(a + 1)', 'cold_use(a + 2)']],
    expect: ['changed f'],
  },
  {
    name: 'a cold part that comes',
    before:
      'int f(int a) { return use(a) * 3; } int g(int a) { if (unlikely(a == 9)) { cold_use(a); return use(8); } return use(a) * 4; }',
    after: [
      [
        '{ return use(a) * 3;',
        '{ if (unlikely(a == 5)) { cold_use(a); cold_use(a + 1); return use(7); } return use(a) * 3;',
      ],
    ],
    expect: ['changed f'],
  },
  {
    name: 'a cold part that goes',
    before:
      'int f(int a) { if (unlikely(a == 5)) { cold_use(a); cold_use(a + 1); return use(7); } return use(a) * 3; }',
    after: 'int f(int a) { return use(a) * 3; }',
    expect: ['changed f'],
  },
  {
    name: 'other instructions in inline assembly',
    before:
      'int f(int a) { asm volatile(OLD : : : "memory"); return use(a) + 1; } int g(int a) { asm volatile(NEW1); return use(a) + 1; }',
    after: [['asm volatile(NEW1)', 'asm volatile(NEW2)']],
    expect: ['changed g'],
  },
  {
    name: 'another symbol in inline assembly',
    before:
      'extern int one, two; int f(int a) { asm volatile(".pushsection .discard.addressable,\\"aw\\"\\n" QUAD " one\\n.popsection\\n" : : ); return use(a) + 1; }',
    after: [['" one', '" two']],
    expect: [],
  },
  {
    name: 'a pointer to another function',
    before: `typedef int fn(int); int take(fn *); static ${split} int one(int a) { return use(a) * 3; } static ${split} int two(int a) { return use(a) * 5; } int f(void) { return take(one) + take(two); } int g(void) { return take(one) - 1; }`,
    after: [['take(one) - 1', 'take(two) - 1']],
    expect: ['changed g'],
  },
  {
    name: 'a pointer to a function that changes stays that of the original',
    before: `typedef int fn(int); int take(fn *); static ${split} int one(int a) { return use(a) * 3; } int f(void) { return take(one) + 1; }`,
    after: [
      ['* 3', '* 7'],
      ['take(one) + 1', 'take(one) + 2'],
    ],
    expect: ['changed f', 'changed one'],
    check: ({ references }) => assert.ok(references.some(({ name }) => name === 'one')),
  },
  {
    name: 'an indirect call that comes',
    before: 'int f(int (*p)(int), int a) { return use(a) + 1; }',
    after: 'int f(int (*p)(int), int a) { return p(a) + 1; }',
    expect: ['changed f'],
  },
  {
    name: 'a global function becomes static',
    before: `__attribute__((noipa)) ${split} int h(int a) { return use(a) + 1; } int f(int a) { return h(a) * 2; }`,
    after: [['__attribute__((noipa)) noinline', 'static __attribute__((noipa)) noinline']],
    expect: [],
    // With branch protection a static function has no landing pad; on ppc64le a call of one has no NOP behind it.
    on: ({ name, arch }) => !/IBT|BTI|kCFI/.test(name) && arch !== 'ppc64le',
  },
  {
    name: 'a weak function that changes',
    before: '__attribute__((weak)) int h(int a) { return use(a) + 1; } int f(int a) { return use(a) * 2; }',
    after: [['+ 1', '+ 2']],
    expect: ['changed h'],
  },
  {
    name: 'an alias that goes to another function',
    before:
      'int one(int a) { return use(a) + 1; } int two(int a) { return use(a) + 2; } int name(int) __attribute__((alias("one")));',
    after: [['alias("one")', 'alias("two")']],
    expect: 'diff-alias-moved',
  },
  {
    name: 'a function with two names changes',
    before:
      'int one(int a) { return use(a) + 1; } int two(int a) { return use(a) + 2; } int name(int) __attribute__((alias("one")));',
    after: [['+ 1', '+ 4']],
    // One redirection serves both names, as they are one address.
    expect: ['changed name'],
    check: ({ functions }) => assert.deepEqual(functions[0]!.aliases, ['one']),
  },
  {
    name: 'a pointer to a function that none could be called by before',
    before: `typedef int fn(int); int take(fn *); static ${split} int one(int a) { return use(a) * 3; } int f(void) { return one(4) + take(0) + 1; }`,
    after: [['take(0)', 'take(one)']],
    // With branch protection the original has no landing pad, so that an indirect call of it would be a fault.
    expect: ({ name }) => (/IBT|BTI/.test(name) ? ['changed f', 'changed one'] : ['changed f']),
    flags: ['-fno-ipa-ra', '-fno-ipa-sra', '-fno-ipa-cp'],
    on: onGcc,
    check: ({ references }, { name }) =>
      assert.equal(
        references.some((one) => one.name === 'one'),
        !/IBT|BTI/.test(name),
      ),
  },
  {
    name: 'a removed function whose address was handed out',
    before: `typedef int fn(int); int take(fn *); static ${split} int one(int a) { return use(a) * 3; } int f(void) { return take(one) + 1; }`,
    after: 'typedef int fn(int); int take(fn *); int f(void) { return take(0) + 1; }',
    expect: 'diff-removed-address',
  },
  {
    name: 'init code of the kernel image',
    before: 'int __init f(int a) { return use(a) + 1; } int g(int a) { return use(a); }',
    after: [['+ 1', '+ 2']],
    expect: [],
    status: 'left out',
    notes: [/^left out: the change of f in \.init\.text: it has run/],
  },
  {
    name: 'init code that shares its section',
    before:
      'int __init e(int a) { return use(a) + 7; } int __init f(int a) { return e(a) + use(1); } int __init k(int a) { return e(a) + 3; } int g(int a) { return use(a) + 5; }',
    after: [
      ['+ 7', '+ 8'],
      ['+ 5', '+ 6'],
    ],
    expect: ['changed g'],
    notes: [/^left out: the change of e in \.init\.text/],
  },
  {
    name: 'init code of a module',
    before: 'int __init f(int a) { return use(a) + 1; } int g(int a) { return use(a); }',
    after: [['+ 1', '+ 2']],
    expect: 'diff-init-changed',
    object: 'some_module',
  },
  {
    name: 'exit code of a module',
    before: 'void __exit f(int a) { use(a + 1); use(9); } int g(int a) { return use(a); }',
    after: [['a + 1', 'a + 2']],
    expect: 'diff-init-changed',
    object: 'some_module',
  },
  {
    name: 'code that must not be instrumented',
    before: '__attribute__((section(".noinstr.text"))) notrace int f(int a) { return use(a) + 1; }',
    after: [['+ 1', '+ 2']],
    expect: 'diff-unpatchable',
  },
  {
    name: 'a global function without an ftrace entry',
    before: 'notrace int f(int a) { return use(a) + 1; } int g(int a) { return use(a); }',
    after: [['+ 1', '+ 2']],
    expect: 'diff-no-trace',
  },
  {
    name: 'a static function without an ftrace entry travels with its callers',
    before: `notrace static ${split} int h(int a) { return use(a) + 1; } int f(int a) { return h(a) * 2; } int g(int a) { return use(a) + 3; }`,
    after: [['+ 1', '+ 2']],
    expect: ['changed f', 'new h'],
  },
  {
    name: 'code of the vDSO',
    before: 'int __vdso_gettime(int a) { return use(a) + 1; }',
    after: [['+ 1', '+ 2']],
    expect: 'diff-vdso',
  },
  {
    name: 'assembly between functions',
    before:
      'asm(".section .text.assembly,\\"ax\\"\\n" OLD "\\n" OLD "\\n.previous"); int f(int a) { return use(a) + 1; }',
    after: [['OLD "\\n" OLD', 'OLD "\\n" NEW1']],
    expect: 'diff-code-unnamed',
  },
  {
    name: 'one of several functions in a section',
    before: `#define here __attribute__((section(".sched.text")))
here ${split} int e(int a) { return use(a) + 1; } here ${split} int f(int a) { return e(a) + 2; } here ${split} int g(int a) { return e(a) + f(a) + 3; }`,
    after: [['+ 2', '+ 9']],
    expect: ['changed f'],
  },
  {
    name: 'one of several functions in a section grows',
    before: `#define here __attribute__((section(".sched.text")))
here static ${split} int e(int a) { return use(a) + 1; } here ${split} int f(int a) { return e(a) + 2; } here ${split} int g(int a) { return e(a) + f(a) + 3; }`,
    after: [['return use(a) + 1', 'use(7); use(8); return use(a) + 1']],
    expect: ['changed e'],
  },
  {
    name: 'a renamed function and its __func__',
    before:
      'int f(int a) { return use2(__func__, a); } int g(int a) { return use2(__func__, a + 1); } int h(int a) { return use2(__func__, a + 3); }',
    after: [['int g(int a)', 'int gg(int a)']],
    expect: ['new gg'],
  },
  {
    name: 'a __func__ that comes before another',
    before: 'int f(int a) { return use(a) + 4; } int g(int a) { return use2(__func__, a + 1); }',
    after: [['use(a) + 4', 'use2(__func__, a) + 4']],
    expect: ['changed f'],
  },
  {
    name: 'other numbers in unique names',
    before:
      '#define CAT2(a, b) a##b\n#define CAT(a, b) CAT2(a, b)\nstatic int CAT(__UNIQUE_ID_x, __COUNTER__) = 3; static int __used CAT(__UNIQUE_ID_y, __COUNTER__) = 4; int f(int a) { return use(a) + 1; }',
    after: [['static int CAT(__UNIQUE_ID_x', 'enum { skip = __COUNTER__ }; static int CAT(__UNIQUE_ID_x']],
    expect: [],
  },
  {
    name: 'debug information alone differs',
    before: 'struct s { int a; }; int f(struct s *a) { return use(a->a) + 1; }',
    after:
      '\n\n\nstruct t { int x; }; struct s { int a; }; int f(struct s *b) { struct t *unused; return use(b->a) + 1; }',
    expect: [],
    flags: ['-g'],
  },
  {
    name: 'a sibling call in a function that changes',
    before: `static ${split} int h(int a) { return use(a) * 3; } int f(int a) { return h(a + 1); } int g(int a) { return h(a + 9) + 1; }`,
    after: [['a + 1)', 'a + 2)']],
    expect: ({ arch }) => (arch === 'ppc64le' ? 'diff-unpatchable' : ['changed f']),
    flags: ['-foptimize-sibling-calls'],
  },
  {
    name: 'a sibling call that stays in the module: both functions change',
    before: `static ${split} int h(int a) { return use(a) * 3; } int f(int a) { return h(a + 1); } int g(int a) { return h(a + 9) + 1; }`,
    after: [
      ['a + 1)', 'a + 2)'],
      ['* 3', '* 5'],
    ],
    expect: ['changed f', 'changed h'],
    flags: ['-foptimize-sibling-calls'],
  },
  {
    name: 'a sibling call of a new function takes its target along',
    before: `static ${split} int h(int a) { return use(a) * 3; } int f(int a) { return use(a) + 1; } int g(int a) { return h(a + 9) + 1; }`,
    after: [
      [
        'int f(int a) { return use(a) + 1; }',
        `static ${split} int k(int a) { use(a); return h(a + 7); } int f(int a) { return k(a) + 1; }`,
      ],
    ],
    expect: ['changed f', 'new k'],
    flags: ['-foptimize-sibling-calls'],
    check: ({ travelling }, { arch }) =>
      assert.equal(
        travelling.some(({ name, kind }) => name === 'h' && kind === 'copy'),
        arch === 'ppc64le',
      ),
  },
  {
    name: 'a call that cannot leave the module takes its callee along',
    before: `static ${split} int h(int a) { static int n; return use(a) + n++; } int f(int a) { return h(a) * 2; }`,
    after: [['* 2', '* 5']],
    expect: ['changed f'],
    on: onArch('ppc64le'),
    notes: [/h is included as an unchanged copy/],
    check: ({ travelling, references }) => {
      assert.ok(travelling.some(({ name, kind }) => name === 'h' && kind === 'copy'));
      assert.ok(
        references.some(({ name }) => name.startsWith('n.')),
        'its static variable stays that of the kernel',
      );
    },
  },
  {
    name: 'a function whose name the kernel has twice',
    before: `static ${split} int h(int a) { return use(a) + 1; } int f(int a) { return h(a) * 2; }`,
    after: [['+ 1', '+ 2']],
    expect: 'diff-symbol-ambiguous',
    options: {
      symbols: [
        { name: 'h', kind: 'function', bind: 'local' },
        { name: 'h', kind: 'function', bind: 'local' },
        { name: 'f', kind: 'function', bind: 'global' },
      ],
    },
  },
  {
    name: 'a function whose name the kernel has twice, with its position told',
    before: `static ${split} int h(int a) { return use(a) + 1; } int f(int a) { return h(a) * 2; }`,
    after: [['+ 1', '+ 2']],
    expect: ['changed h'],
    options: {
      symbols: [
        { name: 'h', kind: 'function', bind: 'local' },
        { name: 'h', kind: 'function', bind: 'local' },
        { name: 'f', kind: 'function', bind: 'global' },
      ],
      resolve: () => 2,
    },
    check: ({ functions }) => assert.equal(functions[0]!.sympos, 2),
  },
  {
    name: 'a switch whose cases change places in the table',
    before:
      'int f(int a) { switch (a) { case 0: return use(1) + 3; case 1: return use(5) * 2; case 2: return use(9) - 1; case 3: return use(11) ^ 3; case 4: return use(3) + 5; case 5: return use(2) * 3; } return 0; } int g(int a) { return use(a) + 1; }',
    after: [
      ['case 1:', 'case X:'],
      ['case 2:', 'case 1:'],
      ['case X:', 'case 2:'],
    ],
    expect: ['changed f'],
    flags: ['-fjump-tables'],
  },
  {
    name: 'a switch with a table, and another before it',
    before:
      'int f(int a) { return use(a) + 1; } int g(int a) { switch (a) { case 0: return use(1) + 3; case 1: return use(5) * 2; case 2: return use(9) - 1; case 3: return use(11) ^ 3; case 4: return use(3) + 5; case 5: return use(2) * 3; } return 0; }',
    after: [
      [
        'return use(a) + 1;',
        'switch (a) { case 0: return use(1) + 3; case 1: return use(6) * 2; case 2: return use(9) - 1; case 3: return use(11) ^ 3; case 4: return use(3) + 5; case 5: return use(2) * 3; } return 1;',
      ],
    ],
    expect: ['changed f'],
    flags: ['-fjump-tables'],
  },
  {
    name: 'a switch that becomes a table of results',
    before:
      'int f(int a) { switch (a) { case 0: return 33; case 1: return 52; case 2: return 19; case 3: return 110; case 4: return 36; case 5: return 27; } return 0; } int g(int a) { switch (a) { case 0: return 3; case 1: return 5; case 2: return 1; case 3: return 11; case 4: return 6; case 5: return 7; } return 0; }',
    after: [['return 110', 'return 111']],
    expect: ['changed f'],
  },
  {
    name: 'a computed goto whose targets change places',
    before:
      'int f(int a, int b) { static const void *const t[] = { &&one, &&two, &&three }; goto *t[a]; one: use(1); two: use(2); three: return use(b); } int g(int a) { return use(a) + 1; }',
    after: [['&&one, &&two, &&three', '&&one, &&three, &&two']],
    expect: ['changed f'],
  },
  {
    name: 'a function with a computed goto changes',
    before:
      'int f(int a, int b) { static const void *const t[] = { &&one, &&two, &&three }; goto *t[a]; one: use(1); two: use(2); three: return use(b); } int g(int a) { return use(a) + 1; }',
    after: [['use(1);', 'use(1); use(8); use(9);']],
    expect: ['changed f'],
  },
  {
    name: 'a function with a computed goto changes without moving its labels',
    before:
      'int f(int a, int b) { static const void *const t[] = { &&one, &&two, &&three }; goto *t[a]; one: use(1); two: use(2); three: return use(b); } int g(int a) { return use(a) + 1; }',
    after: [['use(2);', 'use(3);']],
    expect: ['changed f'],
    check: ({ travelling }) => assert.ok(travelling.some(({ name }) => /^(?:f\.)?t(?:\.\d+)?$/.test(name))),
  },
  {
    name: 'a function that becomes the same as another',
    before: 'int f(int a) { return use(a) + 1; } int g(int a) { return use(a) + 2; }',
    after: [['+ 2', '+ 1']],
    // With -fipa-icf gcc makes one an alias of the other where it can, or lets it jump there.
    expect: ['changed g'],
    on: onGcc,
    flags: ['-fno-ipa-icf'],
  },
];

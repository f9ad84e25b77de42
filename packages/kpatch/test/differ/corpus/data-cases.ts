/** Variables, constants, strings and tables of plain data. */
import assert from 'node:assert/strict';
import { type Case, onGcc } from './case.ts';

const apart = 'noinline';

const reservedSection = 'static int record __attribute__((section(".kpatch.funcs"), used)) = 1;';

export const dataCases: readonly Case[] = [
  {
    name: 'a constant structure without a name',
    before:
      'struct s { long a, b, c, d, e, f; }; void f(struct s *p) { *p = (struct s){ 11, 22, 33, 44, 55, 66 }; } void g(struct s *p) { *p = (struct s){ 10, 20, 30, 40, 50, 60 }; }',
    after: [['33', '34']],
    // Where both are in one section without names, what code reaches from a place in it cannot be determined: all users
    // count.
    expect: ({ arch, clang }) => (arch === 'x86-64' || clang ? ['changed f'] : ['changed f', 'changed g']),
  },
  {
    name: 'a constant structure that comes before another',
    before:
      'struct s { long a, b, c, d, e, f; }; int f(struct s *p) { return use(4) + 1; } void g(struct s *p) { *p = (struct s){ 10, 20, 30, 40, 50, 60 }; }',
    after: [['return use(4) + 1', '*p = (struct s){ 11, 22, 33, 44, 55, 66 }; return use(4) + 1']],
    expect: ({ arch, clang }) => (arch === 'x86-64' || clang ? ['changed f'] : ['changed f', 'changed g']),
  },
  {
    name: 'constants of one size that change places',
    before:
      'typedef unsigned long v __attribute__((vector_size(16))); unsigned long a1[2], a2[2]; void f(unsigned long *p) { __builtin_memcpy(p, "0123456789abcde", 16); } void g(unsigned long *p) { __builtin_memcpy(p, "abcdefghijklmno", 16); }',
    after: [['0123456789abcde', '0123456789abcdX']],
    expect: ['changed f'],
  },
  {
    name: 'another string',
    before: 'void f(void) { printk("one"); use(1); } void g(void) { printk("two"); use(2); }',
    after: [['"one"', '"six"']],
    expect: ['changed f'],
    check: ({ travelling }) =>
      assert.deepEqual(
        travelling.filter(({ kind }) => kind === 'string').map(({ name }) => name),
        ['"six"'],
      ),
  },
  {
    name: 'a string that another function has gets a companion',
    before: 'void f(void) { printk("one"); use(1); } void g(void) { printk("two"); printk("one"); use(2); }',
    after: [['void f(void) { printk("one")', 'void f(void) { printk("zero"); printk("one")']],
    expect: ['changed f'],
  },
  {
    name: 'a string of another width',
    before: 'int f(int a) { return use2(L"wide", a) + 1; } int g(int a) { return use2("wide", a) + 1; }',
    after: [['L"wide"', 'L"wild"']],
    expect: ['changed f'],
  },
  {
    name: 'a string that only a table has',
    before:
      'static const char *const names[] = { "one", "two", "three" }; int f(int a) { return use2(names[a], 1) + 1; } int g(int a) { return use(a) + 1; }',
    after: [['"two"', '"six"']],
    expect: ['changed f'],
    notes: [/read-only table names changed/],
  },
  {
    name: 'a table of numbers of two functions',
    before:
      'static const int table[] = { 1, 2, 3, 5, 8 }; int f(int a) { return use(table[a]) + 1; } int g(int a) { return use(table[a]) + 2; } int h(int a) { return use(a) + 3; }',
    after: [['5, 8', '5, 9']],
    expect: ['changed f', 'changed g'],
    notes: [/read-only table table changed/],
  },
  {
    name: 'a global table of numbers',
    before: 'const int table[] = { 1, 2, 3, 5, 8 }; int f(int a) { return use(table[a]) + 1; }',
    after: [['5, 8', '5, 9']],
    expect: 'diff-data-changed',
  },
  {
    name: 'a table of operations',
    before: `struct ops { int (*open)(int); int (*close)(int); }; static ${apart} int one(int a) { return use(a) + 1; } static ${apart} int two(int a) { return use(a) + 2; } const struct ops ops = { one, two };`,
    after: [['{ one, two }', '{ two, one }']],
    expect: 'diff-data-changed',
  },
  {
    name: 'a new table of operations',
    before: `struct ops { int (*open)(int); }; int take(const struct ops *); static ${apart} __used int one(int a) { return use(a) + 1; } int f(int a) { return take(0) + 1; }`,
    after: [
      ['int f(int a)', 'static const struct ops ops = { one }; int f(int a)'],
      ['take(0)', 'take(&ops)'],
    ],
    // With kCFI a function has the type before its entry, and with it a landing pad, only where its address is taken.
    expect: ({ name }) => (/kCFI/.test(name) ? ['changed f', 'changed one'] : ['changed f']),
    check: ({ travelling }) => assert.ok(travelling.some(({ name }) => name === 'ops')),
  },
  {
    name: 'the initial value of a variable',
    before: 'int value = 7; int f(int a) { return use(value) + 1; }',
    after: [['= 7', '= 8']],
    expect: 'diff-data-changed',
  },
  {
    name: 'the initial value of a static variable in a function',
    before:
      'int f(int a) { static int count = 7; count += a; return use(count) + 1; } int g(int a) { static int count = 9; count += a; return use(count) + 1; }',
    after: [['count = 7', 'count = 8']],
    expect: 'diff-data-changed',
  },
  {
    name: 'the address that a variable holds at first',
    before:
      'static int one, two; int *pointer = &one; int *other = &two; int f(int a) { one++; two--; return use(*pointer + *other) + 1; }',
    after: [['*pointer = &one', '*pointer = &two']],
    expect: 'diff-data-changed',
  },
  {
    name: 'the addend of an address that a variable holds at first',
    before: 'static int many[8]; int *pointer = &many[2]; int f(int a) { many[a]++; return use(*pointer) + 1; }',
    after: [['&many[2]', '&many[3]']],
    expect: 'diff-data-changed',
  },
  {
    name: 'a variable that grows',
    before: 'static int many[8]; int f(int a) { many[a]++; return use(many[a + 1]) + 1; }',
    after: [['many[8]', 'many[16]']],
    expect: 'diff-data-size',
  },
  {
    name: 'a variable that becomes constant',
    before: 'int value = 7; int f(int a) { return use2(&value, 1) + 1; }',
    after: [['int value', 'const int value']],
    expect: 'diff-data-moved',
  },
  {
    name: 'a variable that gets an initial value',
    before: 'int value; int f(int a) { return use2(&value, 1) + 1; }',
    after: [['int value', 'int value = 4']],
    expect: 'diff-data-changed',
  },
  {
    name: 'a variable for each processor',
    before: '__attribute__((section(".data..percpu"))) int value = 7; int f(int a) { return use2(&value, 1) + 1; }',
    after: [['= 7', '= 8']],
    expect: 'diff-data-changed',
  },
  {
    name: 'a variable that is read-only after init',
    before:
      '__attribute__((section(".data..ro_after_init"))) int value = 7; int f(int a) { return use2(&value, 1) + 1; }',
    after: [['= 7', '= 8']],
    expect: 'diff-data-changed',
  },
  {
    name: 'init data of the kernel image',
    before: '__used static __initdata int value = 7; int f(int a) { return use(a) + 1; }',
    after: [
      ['= 7', '= 8'],
      ['+ 1', '+ 2'],
    ],
    expect: ['changed f'],
    notes: [/left out/],
  },
  {
    name: 'code that stays refers to init data',
    before: '__used static __initdata int value = 7; int f(int a) { return use(a) + 1; }',
    after: [['use(a)', 'use2(&value, a)']],
    expect: 'diff-refers-init',
  },
  {
    name: 'a new variable travels',
    before: 'static int one; int f(int a) { one += a; return use(one) + 1; }',
    after: [
      ['static int one;', 'static int one; static int fresh = 4;'],
      ['return use(one)', 'fresh += a; return use(fresh + one)'],
    ],
    expect: ['changed f'],
    check: ({ travelling, references }) => {
      assert.ok(travelling.some(({ name }) => name === 'fresh'));
      assert.ok(references.some(({ name }) => name === 'one'));
    },
  },
  {
    name: 'a new variable before others of its section',
    before:
      'static int one __read_mostly = 1; static int two __read_mostly = 2; int f(int a) { one = a; return use(two) + 1; } int g(int a) { two = a; return use(one) + 1; } int h(int a) { return use(a) + 1; }',
    after: [
      ['static int one', 'static int fresh __read_mostly = 7; static int one'],
      ['int h(int a) { return use(a)', 'int h(int a) { fresh += a; return use(fresh)'],
    ],
    expect: ['changed h'],
    check: ({ travelling }) => assert.ok(travelling.some(({ name }) => name === 'fresh')),
  },
  {
    name: 'a function uses its neighbour of a section',
    before:
      'static int one __read_mostly = 1; static int two __read_mostly = 2; int f(int a) { one += a; two += a; return use(two) + 1; } int g(int a) { return use(one) + 1; }',
    after: [['use(one)', 'use(two)']],
    expect: ['changed g'],
  },
  {
    name: 'two variables of a section change places',
    before:
      'static int one __read_mostly = 1; static int two __read_mostly = 1; int f(int a) { one += a; two -= a; return use(two) + 1; } int g(int a) { one ^= 8; return use(one) + 1; }',
    after: [
      [
        'static int one __read_mostly = 1; static int two __read_mostly = 1;',
        'static int two __read_mostly = 1; static int one __read_mostly = 1;',
      ],
    ],
    expect: [],
  },
  {
    name: 'a variable of the neighbouring name is used after the section changed its order',
    before:
      'static int one __read_mostly = 1; static int two __read_mostly = 1; int f(int a) { one += a; two -= a; return use(two) + 1; } int g(int a) { return use(one) + 1; }',
    after: [
      [
        'static int one __read_mostly = 1; static int two __read_mostly = 1;',
        'static int two __read_mostly = 1; static int one __read_mostly = 1;',
      ],
      ['use(one)', 'use(two)'],
    ],
    expect: ['changed g'],
  },
  {
    name: 'another element of an array',
    before:
      'static int many[8]; int f(int a) { many[a]++; return use(many[2]) + 1; } int g(int a) { many[2]++; return use(many[a]) + 1; }',
    after: [['use(many[2])', 'use(many[3])']],
    expect: ['changed f'],
  },
  {
    name: 'another element of an array of another file',
    before: 'extern int many[8]; int f(int a) { return use(many[2]) + 1; } int g(int a) { return use(many[a]) + 1; }',
    after: [['many[2]', 'many[3]']],
    expect: ['changed f'],
  },
  {
    name: 'a static variable of a function that another function has too',
    before:
      'int f(int a) { static int count; count += a; return use(count) + 1; } int g(int a) { static int count; count -= a; return use(count) + 1; }',
    after:
      'int g(int a) { static int count; count -= a; return use(count) + 1; } int f(int a) { static int count; count += a; return use(count) + 1; }',
    expect: [],
  },
  {
    name: 'functions change places, and one of them changes: each keeps its static variable',
    before:
      'int f(int a) { static int count; count += a; return use(count) + 1; } int g(int a) { static int count; count += a; return use(count) + 2; }',
    after:
      'int g(int a) { static int count; count += a; return use(count) + 2; } int f(int a) { static int count; count += a; return use(count) + 7; }',
    expect: ['changed f'],
    check: ({ references }, { clang }) => {
      const [own] = references.filter(({ name }) => /^(?:f\.|g\.)?count/.test(name));
      assert.match(own?.name ?? '', clang ? /^f\.count/ : /^count\.1$/); // gcc numbers the last function first
    },
  },
  {
    name: 'a static variable that comes before another of its name',
    before:
      'int f(int a) { return use(a) + 1; } int g(int a) { static int count; count += a; return use(count) + 1; } int h(int a) { static int count; count += a; return use(count) + 3; }',
    after: [['return use(a) + 1', 'static int count; count += a; return use(a + count) + 1']],
    expect: ['changed f'],
    check: ({ travelling }) => assert.ok(travelling.some(({ name }) => /count/.test(name))),
  },
  {
    name: 'a static variable whose function loses it',
    before:
      'int f(int a) { static int count; count += a; return use(count) + 1; } int g(int a) { static int count; count += a; return use(count) + 2; }',
    after: [['static int count; count += a; return use(count) + 1', 'return use(a) + 1']],
    expect: ['changed f'],
  },
  {
    name: 'two static variables of one name in one function change places',
    before:
      'int f(int a) { if (a & 1) { static int n = 3; return use(n++) + 1; } else { static int n = 4; return use(n++) + 2; } }',
    after: [['use(n++) + 2', 'use(n++) + 5']],
    expect: ['changed f'],
  },
  {
    name: 'one of two static variables of one name in one function goes',
    before:
      'int f(int a) { if (a & 1) { static int n; return use(n++) + 1; } else { static int n; return use(n--) + 2; } }',
    after: 'int f(int a) { if (a & 1) { static int n; return use(n++) + 1; } else { return use(a) + 2; } }',
    // clang names them f.n and f.n.1, so it can be told which one went.
    expect: ({ clang }) => (clang ? ['changed f'] : 'diff-local-ambiguous'),
  },
  {
    name: 'a static variable that moves into a function that the compiler splits off',
    before: `static ${apart} int h(int *p, int unused) { static int count = 3; return use(*p + count++) + 1; } int f(int *p) { return h(p, 4) * 2; } int g(int *p) { static int count = 5; return use(*p + count++) * 3; }`,
    after: [['* 2', '* 7']],
    expect: ['changed f'],
    on: onGcc,
  },
  {
    name: 'a flag of WARN_ONCE comes before another',
    before: 'int f(int a) { return use(a) + 1; } int g(int a) { WARN_ONCE(a, "no"); return use(a) + 2; }',
    after: [['return use(a) + 1', 'WARN_ONCE(a, "yes"); return use(a) + 1']],
    expect: ['changed f'],
  },
  {
    name: 'a section that nobody knows is used by code that changes',
    before:
      'static int thing __attribute__((section(".data_of_mine"))) = 4; int f(int a) { return use2(&thing, 1) + 1; }',
    after: [['+ 1', '+ 2']],
    expect: 'diff-section-unknown',
  },
  {
    name: 'a section that nobody knows refers to code that changes',
    before:
      'int f(int a) { return use(a) + 1; } static __used void *thing __attribute__((section(".table_of_mine"))) = f;',
    after: [['+ 1', '+ 2']],
    expect: 'diff-section-unknown',
  },
  {
    name: 'the source makes a section that only kpatch makes',
    before: 'int f(int a) { return use(a) + 1; }',
    after: [['int f(int a) { return use(a) + 1', `${reservedSection} int f(int a) { return use(a) + 2`]],
    expect: 'diff-section-reserved',
  },
  {
    name: 'a list that the kernel reads at start',
    before: `static ${apart} int one(int a) { return use(a) + 1; } static ${apart} int two(int a) { return use(a) + 2; } static __used void *call __attribute__((section("__param"))) = one; static __used void *second __attribute__((section("__param"))) = two;`,
    after: [['= one', '= two']],
    expect: 'diff-list-changed',
  },
  {
    name: 'a variable of the file that is called as those that macros make',
    before:
      'static int descriptor = 3; static int _rs = 4; int f(int a) { descriptor += a; _rs -= a; return use(descriptor + _rs) + 1; } int g(int a) { return use(descriptor - _rs) + 1; }',
    after: [['descriptor + _rs) + 1', 'descriptor + _rs) + 2']],
    expect: ['changed f'],
    check: ({ travelling, references }) => {
      assert.deepEqual(
        travelling.filter(({ kind }) => kind === 'data'),
        [],
      );
      for (const name of ['descriptor', '_rs']) assert.ok(references.some((one) => one.name === name));
    },
  },
  {
    name: 'the initial value of a variable that is called as those that macros make',
    before: 'static int descriptor = 3; int f(int a) { descriptor += a; return use(descriptor) + 1; }',
    after: [['= 3', '= 4']],
    expect: 'diff-data-changed',
  },
  {
    name: 'a variable of zeros that is written out as zeros',
    before: 'int value; int f(int a) { return use2(&value, 1) + 1; }',
    after: [['int value;', 'int value __attribute__((section(".data.value"))) = 0;']],
    expect: [],
  },
  {
    name: 'a pointer in a structure that is zero at first',
    before: 'int one; struct s { int *p; long n; } value = { 0, 5 }; int f(int a) { return use2(&value, one++) + 1; }',
    after: [['{ 0, 5 }', '{ &one, 5 }']],
    expect: 'diff-data-changed',
  },
  {
    name: 'a string that begins another one',
    before: 'int f(int a) { return use2("abc", a) + 1; } int g(int a) { return use2("abcd", a) + 1; }',
    after: [['"abc"', '"abcd"']],
    expect: ['changed f'],
  },
  {
    name: 'a string that ends another one',
    before: 'int f(int a) { return use2("word", a) + 1; } int g(int a) { return use2("a word", a) + 1; }',
    after: [['"word"', '"a word"']],
    expect: ['changed f'],
  },
];

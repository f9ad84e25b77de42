/** Changes that are easily overlooked, and references whose meaning is not where they point. */
import assert from 'node:assert/strict';
import { type Case, onGcc } from './case.ts';

const here = '#define here __attribute__((section(".sched.text")))\n';
const one = 'here noinline int e1(int a) { return use(a) + 1; }\n';
const two = 'here noinline int e2(int a) { return use3(a) + 1; }\n';

const twins =
  'int f(int a) { if (a & 1) { static int n asm("n.101"); n += a; return use(n) + 1; } else { static int n asm("n.102"); n -= a; return use(n) + 2; } }';
const swapped: readonly (readonly [string, string])[] = [
  ['n.101', 'n.x'],
  ['n.102', 'n.101'],
  ['n.x', 'n.102'],
];

export const quietCases: readonly Case[] = [
  {
    name: 'a string that is read from before its beginning',
    before: 'int f(int a) { return "0123456789abcdef"[a - 1]; } int g(int a) { return use(a) + 1; }',
    after: [['9abcdef', '9abcdeg']],
    expect: ['changed f'],
    check: ({ travelling }) =>
      assert.ok(
        travelling.some(({ name }) => name.includes('9abcdeg')),
        travelling.map(({ name }) => name).join(),
      ),
  },
  {
    name: 'a string behind another that is read from before its beginning',
    before:
      'int f(int a) { printk("other"); return use("0123456789abcdef"[a - 2]); } int g(int a) { return use(a) + 1; }',
    after: [['9abcdef', '9abcdeg']],
    expect: ['changed f'],
    check: ({ travelling }) => assert.ok(travelling.some(({ name }) => name.includes('9abcdeg'))),
  },
  {
    name: 'a string with zeros in it',
    before: 'int f(int a) { return use2("one\\0two", a) + 1; } int g(int a) { return use2("one", a) + 2; }',
    after: [['\\0two', '\\0six']],
    expect: ['changed f'],
  },
  {
    name: 'a later part of a string',
    before:
      'int f(int a) { return use2("prefix: text" + 8, a) + 1; } int g(int a) { return use2("prefix: text", a) + 2; }',
    after: [['text" + 8', 'next" + 8']],
    expect: ['changed f'],
  },
  {
    name: 'a function that was init code is needed later',
    before:
      'static noinline int __init h(int a) { return use(a) * 3; } int __init k(int a) { return h(a); } int f(int a) { return h(a) + 1; }',
    after: [['int __init h', 'int h']],
    expect: ['changed f', 'new h'],
    on: onGcc,
  },
  {
    name: 'data that was init data is needed later',
    before: 'static __initdata int value = 7; int f(int a) { return use2(&value, a) + 1; }',
    after: [['static __initdata int', 'static int']],
    expect: ['changed f'],
    check: ({ travelling }) => assert.ok(travelling.some(({ name, kind }) => name === 'value' && kind === 'data')),
  },
  {
    name: 'a variable becomes one for each processor',
    before: 'int value = 7; int f(int a) { return use2(&value, a) + 1; }',
    after: [['int value', '__attribute__((section(".data..percpu"))) int value']],
    expect: 'diff-data-moved',
  },
  {
    name: 'a variable may be written after init',
    before:
      '__attribute__((section(".data..ro_after_init"))) int value = 7; int f(int a) { return use2(&value, a) + 1; }',
    after: [['__attribute__((section(".data..ro_after_init"))) int', 'int']],
    expect: 'diff-data-moved',
  },
  {
    name: 'a variable may not be written after init any more',
    before: 'int value = 7; int f(int a) { return use2(&value, a) + 1; }',
    after: [
      ['int value', '__attribute__((section(".data..ro_after_init"))) int value'],
      ['+ 1', '+ 2'],
    ],
    expect: ['changed f'],
    notes: [/value stays writable/],
  },
  {
    name: 'a variable with a larger alignment',
    before: 'int value = 7; int f(int a) { return use2(&value, a) + 1; }',
    after: [['int value', '__attribute__((aligned(64))) int value']],
    expect: 'diff-data-moved',
  },
  {
    name: 'a new variable behind an array whose end is used',
    before:
      'static int many[4] __read_mostly = { 1, 2, 3, 4 }; static int other __read_mostly = 5; int f(int a) { int *p = many; asm("" : "+r"(p)); for (; p < many + 4; p++) use(*p); return 1; } int g(int a) { return use(other) + 1; } int h(int a) { many[a] = other++; return use(a); }',
    after: [
      ['static int other', 'static int fresh __read_mostly = 9; static int other'],
      ['use(other) + 1', 'use(other + fresh++) + 1'],
    ],
    // Behind the array is another variable than before, and which of the two is meant cannot be seen.
    expect: ({ arch }) => (arch === 'ppc64le' ? ['changed g'] : 'diff-reference-ambiguous'), // there it is computed
    flags: ['-fno-toplevel-reorder'],
    on: onGcc,
  },
  {
    name: 'a new variable before two that one function uses',
    before:
      'static int one __read_mostly = 1, two __read_mostly = 2; int f(int a) { one += a; two -= a; return use(one + two); } int g(int a) { return use(a) + 1; }',
    after: [
      ['static int one', 'static int fresh __read_mostly = 9; static int one'],
      ['use(a) + 1', 'use(a + fresh++) + 1'],
    ],
    expect: ['changed g'],
  },
  {
    name: 'the default of a static key',
    before: 'struct static_key key = { 0, 0 }; int f(int a) { if (static_branch(&key)) return use(a); return 1; }',
    after: [['{ 0, 0 }', '{ 1, 0 }']],
    expect: 'diff-data-changed',
  },
  {
    name: 'another target of asm goto',
    before:
      'int f(int a) { asm goto(JUMP("%l0") : : : : one, two); return use(3); one: return use(1) + 5; two: return use(2) + 7; } int g(int a) { return use(a) + 1; }',
    after: [['JUMP("%l0")', 'JUMP("%l1")']],
    expect: ['changed f'],
  },
  {
    name: 'a weak function becomes a strong one',
    before: '__attribute__((weak)) int h(int a) { return use(a) + 1; } int f(int a) { return use(a) + 2; }',
    after: [
      ['__attribute__((weak)) int h', 'int h'],
      ['+ 2', '+ 3'],
    ],
    expect: ['changed f'],
  },
  {
    name: 'a weak function changes that the kernel has from another file',
    before: '__attribute__((weak)) int h(int a) { return use(a) + 1; } int f(int a) { return use(a) + 2; }',
    after: [['+ 1', '+ 3']],
    expect: [],
    notes: [/^left out: the change of h: it is weak/],
    options: {
      symbols: [
        { name: 'h', kind: 'function', bind: 'global', weak: false },
        { name: 'f', kind: 'function', bind: 'global', weak: false },
      ],
    },
  },
  {
    name: 'another visibility',
    before:
      '__attribute__((visibility("hidden"))) int h(int a) { return use(a) + 1; } int f(int a) { return h(a) + 2; }',
    after: [['__attribute__((visibility("hidden"))) ', '']],
    expect: [],
    flags: ['-fno-inline', '-fno-ipa-ra', '-fno-ipa-sra', '-fno-ipa-cp', '-fno-ipa-icf'],
    on: ({ clang, arch, name }) => !clang && arch !== 'ppc64le' && !/IBT|BTI/.test(name),
  },
  {
    name: 'a common variable that grows',
    before: 'int shared[4]; int f(int a) { return use2(shared, a) + 1; }',
    after: [['shared[4]', 'shared[8]']],
    expect: ['changed f'],
    flags: ['-fcommon'],
    on: onGcc,
  },
  {
    name: 'a pointer in a table that only data refers to',
    before:
      'static int one, two; static int *const inner[] = { &one, &two }; int *const *outer = inner; int f(int a) { one++; two--; return use2(outer, a); }',
    after: [['{ &one, &two }', '{ &two, &one }']],
    expect: 'diff-data-changed',
  },
  {
    name: 'two functions of the same bytes in one section change places, and another one calls the other',
    before: `${here}${one}${two}here noinline int f(int a) { return e1(a) * 3; }`,
    after: `${here}${two}${one}here noinline int f(int a) { return e2(a) * 3; }`,
    expect: ['changed f'],
    flags: ['-fno-toplevel-reorder'],
    on: onGcc,
  },
  {
    name: 'two static variables of one name and content in one function that changes',
    before: twins,
    after: [['+ 2', '+ 7']],
    expect: 'diff-local-ambiguous',
  },
  {
    name: 'two static variables of one name and different content in one function that changes',
    before: twins.replace('"n.101")', '"n.101") = 4').replace('"n.102")', '"n.102") = 5'),
    after: [['+ 2', '+ 7']],
    expect: ['changed f'],
  },
  {
    name: 'a function without an ftrace entry calls another one, and its caller is in its section',
    before: `${here}here notrace static noinline int h(int a) { return use(a) + 1; } here noinline int f(int a) { return h(a) * 2; } here int g(int a) { return use(a) + 3; }`,
    after: [['use(a) + 1', 'use3(a) + 1']],
    expect: ['changed f', 'new h'],
  },
  {
    name: 'two static variables of one name in one function whose numbers change places',
    before: twins,
    after: swapped,
    expect: [],
  },
  {
    name: 'two static variables of one name in one function whose numbers change places in a function that changes',
    before: twins,
    after: [...swapped, ['+ 2', '+ 7']],
    expect: 'diff-local-ambiguous',
  },
  {
    name: 'code for memory that is added later',
    before:
      '__attribute__((section(".meminit.text"))) notrace int f(int a) { return use(a) + 1; } int g(int a) { return f(a); }',
    after: [['+ 1', '+ 2']],
    expect: 'diff-no-trace',
  },
  {
    name: 'data for processors that are added later',
    before:
      'static int value __attribute__((section(".cpuinit.data"))) = 4; int f(int a) { return use(value++ + a) + 1; }',
    after: [['+ 1', '+ 2']],
    expect: ['changed f'],
    check: ({ references }) => assert.ok(references.some(({ name }) => name === 'value')),
  },
  {
    name: 'a list of the kernel in another order',
    before:
      'static __used noinline int one(int a) { return use(a) + 1; } static __used noinline int two(int a) { return use(a) + 2; } static __used void *first __attribute__((section("_kprobe_blacklist"))) = one; static __used void *second __attribute__((section("_kprobe_blacklist"))) = two;',
    after: [
      ['= one', '= x'],
      ['= two', '= one'],
      ['= x', '= two'],
    ],
    expect: [],
  },
];

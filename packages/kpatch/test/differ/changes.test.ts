/** What counts as a change and what does not: each rule with the smallest source that shows it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { intermediateObject } from '#kpatch/compat/intermediate.ts';
import type { DiffResult } from '#kpatch/differ/options.ts';
import { differ, functionsOf, prelude, type Setting } from './fixture.ts';

interface Case {
  readonly what: string;
  readonly before: string;
  readonly after: string;
  readonly functions: readonly string[];
  readonly setting?: Setting;
  readonly check?: (result: DiffResult) => void;
}

const cases: Case[] = [
  {
    what: 'a new static function travels with its caller, an unused one does not',
    before: 'int f(int a) { return use(a); }',
    after:
      'static noinline int g(int a) { return use(a + 1); } static noinline __attribute__((used)) int h(int a) { return a; } int f(int a) { return g(a); }',
    functions: ['changed f', 'new g'],
  },
  {
    what: 'a new global function travels, as another object may call it',
    before: 'int f(int a) { return use(a); }',
    after: 'int f(int a) { return use(a); } int g(int a) { return use(a + 1); }',
    functions: ['new g'],
  },
  {
    what: 'WARN_ON that becomes WARN_ON_ONCE differs only in the flags of its bug entry',
    before: 'int f(int a) { WARN_ON(a); return use(a); }',
    after: 'int f(int a) { WARN_ON_ONCE(a); return use(a); }',
    functions: ['changed f'],
    check: ({ functions }) => assert.match(functions[0]!.reasons[0]!.text, /__bug_table/),
  },
  {
    what: 'another replacement of an alternative',
    before: 'int f(int a) { ALTERNATIVE("nop", "lfence", 3); return use(a); }',
    after: 'int f(int a) { ALTERNATIVE("nop", "mfence", 3); return use(a); }',
    functions: ['changed f'],
    check: ({ travelling }) => assert.ok(travelling.some(({ section }) => section === '.altinstr_replacement')),
  },
  {
    what: 'another string',
    before: 'void f(void) { printk("one"); } void g(void) { printk("two"); }',
    after: 'void f(void) { printk("one"); } void g(void) { printk("six"); }',
    functions: ['changed g'],
    check: ({ travelling }) =>
      assert.deepEqual(
        travelling.filter(({ kind }) => kind === 'string').map(({ name }) => name),
        ['"six"'],
      ),
  },
  {
    what: 'shifted lines of WARN, might_sleep, assertions and pr_debug are no change',
    before: `int f(int a) { WARN_ON(a); might_sleep(); WARN_ONCE(a, "RTNL: assertion failed at %s (%d)\\n", __FILE__, __LINE__); pr_debug("x"); return use(a); }`,
    after: `\n\n\nint f(int a) { WARN_ON(a); might_sleep(); WARN_ONCE(a, "RTNL: assertion failed at %s (%d)\\n", __FILE__, __LINE__); pr_debug("x"); return use(a); }`,
    functions: [],
  },
  {
    what: 'a line that goes anywhere else is a change',
    before: 'int f(int a) { return use2(__FILE__, __LINE__); }',
    after: '\nint f(int a) { return use2(__FILE__, __LINE__); }',
    functions: ['changed f'],
  },
  {
    what: 'a line in a message is no change where debug information says that it is one',
    before: 'void f(int a) { printk("%s: %d: %d", __func__, __LINE__, a); }',
    after: '\n\nvoid f(int a) { printk("%s: %d: %d", __func__, __LINE__, a); }',
    functions: [],
    setting: { more: ['-g'] },
  },
  {
    what: 'another number in a message is a change, whatever line it is on',
    before: 'void f(int a) { printk("%s: %d: %d", __func__, 7, a); }',
    after: '\n\nvoid f(int a) { printk("%s: %d: %d", __func__, 9, a); }',
    functions: ['changed f'],
    setting: { more: ['-g'] },
  },
  {
    what: 'the line in a descriptor of UBSAN is no change',
    before: 'int t[8]; int f(int a) { return use(t[a]); }',
    after: '\n\nint t[8]; int f(int a) { return use(t[a]); }',
    functions: [],
    setting: { more: ['-fsanitize=bounds'] },
  },
  {
    what: 'a descriptor of UBSAN travels with its function',
    before: 'int t[8]; int f(int a) { return use(t[a]); } int g(int a) { return use(t[a] + 1); }',
    after: 'int t[8]; int f(int a) { return use(t[a]); } int g(int a) { return use(t[a] + 2); }',
    functions: ['changed g'],
    setting: { more: ['-fsanitize=bounds'] },
  },
  {
    what: 'with keepLineChanges a shifted line is a change',
    before: 'int f(int a) { might_sleep(); return use(a); }',
    after: '\nint f(int a) { might_sleep(); return use(a); }',
    functions: ['changed f'],
    setting: { options: { keepLineChanges: true } },
  },
  {
    what: 'another number that happens to be loaded for might_sleep is no line when the register serves another call',
    before: 'void f(int a) { use2("a.c", 10); might_sleep(); }',
    after: 'void f(int a) { use2("a.c", 11); might_sleep(); }',
    functions: ['changed f'],
  },
  {
    what: 'static locals keep their state when their numbers change',
    before: 'int f(int a) { static int n; return use(n += a); } int g(int a) { return use(a); }',
    after: 'int g(int a) { static int n; return use(n -= a); } int f(int a) { static int n; return use(n += a); }',
    functions: ['changed g'],
    check: ({ travelling }) => assert.equal(travelling.filter(({ kind }) => kind === 'data').length, 1),
  },
  {
    what: 'a static local of a changed function stays the one of the kernel',
    before: 'int f(int a) { static int n; return use(n += a); }',
    after: 'int f(int a) { static int n; return use(n += a + 1); }',
    functions: ['changed f'],
    check: ({ travelling, references }) => {
      assert.deepEqual(
        travelling.filter(({ kind }) => kind === 'data'),
        [],
      );
      assert.ok(references.some(({ name }) => /^n\.\d+$/.test(name)));
    },
  },
  {
    what: 'a function and a variable that are called init are no init code and data',
    before: 'static int init_ = 3; int init(int a) { return use(a + init_); }',
    after: 'static int init_ = 3; int init(int a) { return use(a - init_); }',
    functions: ['changed init'],
  },
  {
    what: 'a variable of a file keeps its state, although macros use its name for static locals',
    before: 'static struct { int a; } _rs, descriptor; int f(int a) { return use(a + _rs.a++ + descriptor.a++); }',
    after: 'static struct { int a; } _rs, descriptor; int f(int a) { return use(a - _rs.a++ + descriptor.a++); }',
    functions: ['changed f'],
    check: ({ travelling, references }) => {
      assert.deepEqual(
        travelling.filter(({ kind }) => kind === 'data'),
        [],
      );
      assert.ok(['_rs', 'descriptor'].every((wanted) => references.some(({ name }) => name === wanted)));
    },
  },
  {
    what: 'a cold part that changes changes its function',
    before: `int cold(int) __attribute__((cold)); int f(int a) { if (a == 3) { cold(1); use(a); cold(2); } return a; }`,
    after: `int cold(int) __attribute__((cold)); int f(int a) { if (a == 3) { cold(1); use(a); cold(3); } return a; }`,
    functions: ['changed f'],
    check: ({ travelling }) => assert.ok(travelling.some(({ kind }) => kind === 'cold part')),
  },
  {
    what: 'functions that share a section are distinguished',
    before: `#define S __attribute__((section(".sched.text")))
      static S noinline int a(int x) { return use(x); } S noinline int b(int x) { return a(x) + 1; } S int c(int x) { return b(x); }`,
    after: `#define S __attribute__((section(".sched.text")))
      static S noinline int a(int x) { return use(x) + use(x + 1); } S noinline int b(int x) { return a(x) + 1; } S int c(int x) { return b(x); }`,
    functions: ['changed a'],
  },
  {
    what: 'a function that shares a section is extracted with its calls within the section',
    before: `#define S __attribute__((section(".sched.text")))
      static S noinline int a(int x) { return use(x); } S noinline int b(int x) { return a(x) + 1; } S int c(int x) { return b(x); }`,
    after: `#define S __attribute__((section(".sched.text")))
      static S noinline int a(int x) { return use(x); } S noinline int b(int x) { return a(x) + 2; } S int c(int x) { return b(x); }`,
    functions: ['changed b'],
    check: ({ references }) => assert.ok(references.some(({ name, exported }) => name === 'a' && !exported)),
  },
  {
    what: 'a read-only table of values that functions alone read travels with them',
    before: 'static const int t[] = { 1, 2, 3 }; int f(int a) { return t[a]; } int g(int a) { return use(a); }',
    after: 'static const int t[] = { 1, 2, 4 }; int f(int a) { return t[a]; } int g(int a) { return use(a); }',
    functions: ['changed f'],
    check: ({ notes, travelling }) => {
      assert.match(notes.join(), /read-only table t changed/);
      assert.ok(travelling.some(({ name }) => name === 't'));
    },
  },
  {
    what: 'a static function without an ftrace entry travels with its callers',
    before: 'static notrace noinline int f(int a) { return use(a); } int g(int a) { return f(a) + 1; }',
    after: 'static notrace noinline int f(int a) { return use(a + 1); } int g(int a) { return f(a) + 1; }',
    functions: ['changed g', 'new f'],
    check: ({ notes }) => assert.match(notes.join(), /\bf cannot be redirected by ftrace/),
  },
  {
    what: 'a pointer to a changed function stays that of the original, a call goes to the new one',
    before: 'static noinline int f(int a) { return use(a); } int g(int a) { use2(f, a); return f(a); }',
    after: 'static noinline int f(int a) { return use(a + 1); } int g(int a) { use2(f, a); return f(a) + 1; }',
    functions: ['changed f', 'changed g'],
    check: ({ references }) => assert.ok(references.some(({ name }) => name === 'f')),
  },
  {
    what: 'global turned static is no change of its own',
    before: 'noinline int f(int a) { return use(a); } int g(int a) { return f(a) + 1; }',
    after: 'static noinline int f(int a) { return use(a); } int g(int a) { return f(a) + 1; }',
    functions: [],
    setting: { more: ['-fno-ipa-ra', '-fno-ipa-icf'] },
  },
  {
    what: 'a jump label of the kernel image keeps its key',
    before: 'struct static_key key; int f(int a) { if (static_branch(&key)) return use(a); return a; }',
    after: 'struct static_key key; int f(int a) { if (static_branch(&key)) return use(a); return a + 1; }',
    functions: ['changed f'],
    check: ({ travelling }) => assert.ok(travelling.some(({ section }) => section === '__jump_table')),
  },
  {
    what: 'a tracepoint of a module is off in the new version, and that is said',
    before:
      'struct static_key __tracepoint_x; int f(int a) { if (static_branch(&__tracepoint_x)) return use(a); return a; }',
    after:
      'struct static_key __tracepoint_x; int f(int a) { if (static_branch(&__tracepoint_x)) return use(a); return a + 1; }',
    functions: ['changed f'],
    setting: { object: 'themodule' },
    check: ({ notes, travelling }) => {
      assert.match(notes.join(), /tracepoint x is disabled/);
      assert.ok(!travelling.some(({ section }) => section === '__jump_table'));
    },
  },
];

for (const version of [2, 3, 4, 5]) {
  test(`the source line of a changed function is told from DWARF ${version}`, () => {
    const setting = { more: ['-g', `-gdwarf-${version}`] };
    const line = prelude.split('\n').length + 2;
    const result = differ('\n\nint f(int a) { return use(a); }', '\n\nint f(int a) { return use(a + 1); }', setting);
    assert.equal(result.functions[0]?.source, `a.c:${line}`);
  });
}

for (const { what, before, after, functions, setting, check } of cases) {
  test(what, () => {
    const result = differ(before, after, setting);
    assert.deepEqual(functionsOf(result), functions);
    if (result.status === 'changed') assert.ok(intermediateObject(result.patch()).length > 0);
    check?.(result);
  });
}

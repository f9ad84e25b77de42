/** Source lines in code and tables: what only tells a line for a message is not a change. */
import type { Case } from './case.ts';

const shift = (name: string, before: string, lines = 3): Case => ({
  name: `shifted by ${lines} lines: ${name}`,
  before,
  after: `${'\n'.repeat(lines)}${before}`,
  expect: [],
});

const kept = (one: Case): Case => ({
  ...one,
  name: `lines count where asked for, ${one.name}`,
  options: { keepLineChanges: true },
  expect: ['changed f'],
});

const warn = shift('WARN_ON', 'int f(int a) { WARN_ON(a == 4); return use(a) + 1; }');
const sleep = shift('might_sleep', 'int f(int a) { might_sleep(); return use(a) + 1; }');

export const lineCases: readonly Case[] = [
  warn,
  sleep,
  kept(warn),
  kept(sleep),
  shift(
    'WARN_ON_ONCE and BUG',
    'int f(int a) { WARN_ON_ONCE(a == 4); if (unlikely(a == 9)) BUG(); return use(a) + 1; }',
  ),
  shift(
    'might_sleep behind a branch',
    'int f(int a) { if (a > 4) { use(a); might_sleep(); } might_sleep(); return use(a) + 1; }',
  ),
  shift('might_sleep as last', 'void f(int a) { use(a); might_sleep(); }'),
  shift(
    'suspicious RCU',
    'int f(int a) { if (unlikely(a == 77)) lockdep_rcu_suspicious(__FILE__, __LINE__, "suspicious rcu_dereference_check() usage"); return use(a) + 1; }',
  ),
  shift('ASSERT_RTNL by WARN_ONCE', 'int f(int a) { ASSERT_RTNL(); return use(a) + 1; }'),
  shift('ASSERT_RTNL by printk', 'int f(int a) { OLD_ASSERT_RTNL(); return use(a) + 1; }'),
  shift('WARN_ONCE with a format', 'int f(int a) { WARN_ONCE(a == 4, "much: %d\\n", a); return use(a) + 1; }'),
  shift('pr_debug', 'int f(int a) { pr_debug("value %d\\n", a); return use(a) + 1; }'),
  shift('printk with an index', 'int f(int a) { indexed_printk("value %d\\n", a); return use(a) + 1; }'),
  shift(
    'a message of fortified memcpy',
    '#define STRING2(x) #x\n#define STRING(x) STRING2(x)\nint f(int a) { WARN_ONCE(a, "%s", "field \\"x\\" at a.c:" STRING(__LINE__)); return use(a) + 1; }',
    5,
  ),
  shift(
    'all in one',
    'int f(int a) { WARN_ON(a); might_sleep(); ASSERT_RTNL(); pr_debug("x"); WARN_ON_ONCE(a == 3); return use(a) + 1; }',
    250,
  ),
  shift('might_sleep beyond line 5000', `${'\n'.repeat(5000)}int f(int a) { might_sleep(); return use(a) + 1; }`),
  {
    ...shift('might_sleep across line 4096', `${'\n'.repeat(4094)}int f(int a) { might_sleep(); return use(a) + 1; }`),
    // The larger number takes another instruction: the code after it moves, and what moves is not told from what changes.
    expect: ({ arch }) => (arch === 'loongarch64' ? ['changed f'] : []),
  },
  {
    ...shift(
      'checks of UBSAN',
      'int t[8]; int f(int a, int b) { return use(a << b) + t[a]; } int g(int a) { return t[a] + 1; }',
    ),
    flags: ['-fsanitize=shift,bounds'],
  },
  {
    name: 'a function before it gets longer',
    before: 'int f(int a) { return use(a) + 1; }\nint g(int a) { WARN_ON(a); might_sleep(); return use(a) + 2; }',
    after: 'int f(int a) {\n\n  return use(a) + 3;\n}\nint g(int a) { WARN_ON(a); might_sleep(); return use(a) + 2; }',
    expect: ['changed f'],
  },
  ...['__FILE__', '__func__'].flatMap((place) => [
    {
      // Nothing shows that it is a line: `report(0, place, 5, a)` looks the same.
      ...shift(
        `a line behind ${place} for an unknown function, without debug information`,
        `int report(void *, const char *, int, int); int f(int a) { if (a == 7) report(0, ${place}, __LINE__, a); return use(a) + 1; }`,
      ),
      expect: ['changed f'],
    },
    shift(
      `a line behind ${place} for __btrfs_abort_transaction`,
      `void __btrfs_abort_transaction(void *, const char *, int, int); int f(int a) { if (a == 7) __btrfs_abort_transaction(0, ${place}, __LINE__, a); return use(a) + 1; }`,
    ),
    {
      name: `a number behind ${place} that changes as far as the lines move`,
      before: `int report(void *, const char *, int, int); int f(int a) { if (a == 7) report(0, ${place}, 20, a); return use(a) + 1; }`,
      after: `\n\nint report(void *, const char *, int, int); int f(int a) { if (a == 7) report(0, ${place}, 22, a); return use(a) + 1; }`,
      expect: ['changed f'],
      flags: ['-g'],
    } satisfies Case,
    {
      ...shift(
        `a line behind ${place}, and debug information`,
        `int report(void *, const char *, int, int); int f(int a) { if (a == 7) report(0, ${place}, __LINE__, a); return use(a) + 1; }`,
      ),
      flags: ['-g'],
    },
    {
      name: `a number behind ${place} that debug information shows to be none of a line`,
      before: `int report(void *, const char *, int, int); int f(int a) { if (a == 7) report(0, ${place}, 20, a); return use(a) + 1; }`,
      after: [['20', '21']],
      expect: ['changed f'],
      flags: ['-g'],
    } satisfies Case,
  ]),
  {
    name: 'a number behind another text',
    before: 'int f(int a) { use2("mode", 10); return use(a) + 1; }',
    after: [['10', '11']],
    expect: ['changed f'],
  },
  {
    name: 'a line that is returned',
    before: 'int f(int a) { use(a); return __LINE__; }',
    after: '\nint f(int a) { use(a); return __LINE__; }',
    expect: ['changed f'],
  },
  {
    name: 'a number that looks like a line, for printk without a file',
    before: 'int f(int a) { printk("value %s %d\\n", "b", 12); return use(a) + 1; }',
    after: [['12', '13']],
    expect: ['changed f'],
  },
  {
    name: 'a number in the register of the line for another function',
    before: 'int f(int a) { use2("a.c", 10); might_sleep(); return use(a) + 1; }',
    after: [['10', '11']],
    expect: ['changed f'],
    flags: ['-g'],
  },
  {
    name: 'another file name for might_sleep',
    before: 'int f(int a) { __might_sleep("a.c", 10); return use(a) + 1; }',
    after: [['"a.c"', '"b.c"']],
    expect: ['changed f'],
  },
  {
    name: 'other flags of a bug entry',
    before: 'int f(int a) { WARN_ON(a == 4); return use(a) + 1; } int g(int a) { WARN_ON(a == 5); return use(a) + 1; }',
    after: [['WARN_ON(a == 4)', 'WARN_ON_ONCE(a == 4)']],
    expect: ['changed f'],
  },
  {
    name: 'a number beside a line',
    before: 'int f(int a) { use(7); might_sleep(); return use(a) + 1; }',
    after: '\nint f(int a) { use(8); might_sleep(); return use(a) + 1; }',
    expect: ['changed f'],
  },
];

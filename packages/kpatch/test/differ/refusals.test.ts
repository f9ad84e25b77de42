/** Changes that cannot be made in a running kernel: each refusal of the catalogue, provoked by the smallest source. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '#kpatch/base/errors/catalogue.ts';
import { provokes } from '../provoke.ts';
import { differ, functionsOf, type Setting } from './fixture.ts';

interface Case {
  readonly what: string;
  readonly code: ErrorCode;
  readonly before: string;
  readonly after: string;
  readonly setting?: Setting;
  /** What the message must name. */
  readonly names: RegExp;
}

const ops = (open: string): string => `
  static noinline int first(int a) { return use(a); }
  static noinline int second(int a) { return use(a + 1); }
  const struct { int (*open)(int); int (*other)(int); } operations = { ${open}, second };`;

/** As MODULE_DEVICE_TABLE has it: a second, global name for modpost. */
const deviceTable = (ids: string): string => `
  static const int devices[] = { ${ids} };
  extern typeof(devices) __mod_usb__devices_device_table __attribute__((unused, alias("devices")));
  const struct { const int *table; } driver = { devices };`;

const cases: Case[] = [
  {
    what: 'another initial value of a variable',
    code: 'diff-data-changed',
    before: 'int threshold = 4; int f(int a) { return a > threshold; }',
    after: 'int threshold = 5; int f(int a) { return a > threshold; }',
    names: /threshold/,
  },
  {
    what: 'another function in a table of operations',
    code: 'diff-data-changed',
    before: ops('first'),
    after: ops('second'),
    names: /operations/,
  },
  {
    what: 'a variable that grows',
    code: 'diff-data-size',
    before: 'char buffer[64]; void f(int a) { buffer[a] = 1; }',
    after: 'char buffer[128]; void f(int a) { buffer[a] = 1; }',
    names: /buffer.*64.*128/,
  },
  {
    what: 'a table of devices that grows: it has the name that the source gives',
    code: 'diff-data-size',
    before: deviceTable('1, 2'),
    after: deviceTable('1, 2, 3'),
    names: /size of devices changed from 8 to 12/,
  },
  {
    what: 'a variable that becomes constant',
    code: 'diff-data-moved',
    before: 'int value = 3; int f(void) { return value; }',
    after: 'extern const int value; const int value = 3; int f(void) { return *(volatile int *)&value; }',
    names: /value/,
  },
  {
    what: 'init code of a module',
    code: 'diff-init-changed',
    before: 'int __init start(int a) { return use(a); }',
    after: 'int __init start(int a) { return use(a + 1); }',
    setting: { object: 'themodule' },
    names: /start.*\.init\.text/,
  },
  {
    what: 'code that must not be instrumented',
    code: 'diff-unpatchable',
    before: '__attribute__((section(".noinstr.text"))) notrace int f(int a) { return a + 1; }',
    after: '__attribute__((section(".noinstr.text"))) notrace int f(int a) { return a + 2; }',
    names: /\bf\b/,
  },
  {
    what: 'a function without an ftrace entry that others may call',
    code: 'diff-no-trace',
    before: 'notrace int f(int a) { return a + 1; }',
    after: 'notrace int f(int a) { return a + 2; }',
    names: /\bf\b/,
  },
  {
    what: 'assembly without a function',
    code: 'diff-code-unnamed',
    before: 'asm(".section .text.odd,\\"ax\\"\\n nop\\n ret\\n");',
    after: 'asm(".section .text.odd,\\"ax\\"\\n nop\\n nop\\n ret\\n");',
    names: /\.text\.odd/,
  },
  {
    what: 'a function that jumps shortly into another of its section',
    code: 'diff-code-bound',
    before:
      'asm(".section .text.two,\\"ax\\"\\n.type a,@function\\na: call __fentry__\\n nop\\n jmp b\\n.size a,.-a\\n.type b,@function\\nb: ret\\n.size b,.-b\\n.section __mcount_loc,\\"a\\"\\n.quad a\\n");',
    after:
      'asm(".section .text.two,\\"ax\\"\\n.type a,@function\\na: call __fentry__\\n ud2\\n jmp b\\n.size a,.-a\\n.type b,@function\\nb: ret\\n.size b,.-b\\n.section __mcount_loc,\\"a\\"\\n.quad a\\n");',
    names: /\ba\b.*\.text\.two/,
  },
  {
    what: 'a loaded section that no rule knows, used by code that changed',
    code: 'diff-section-unknown',
    before: '__attribute__((section("my_table"))) int entry = 3; int f(int a) { return entry + a; }',
    after: '__attribute__((section("my_table"))) int entry = 3; int f(int a) { return entry - a; }',
    names: /my_table.*\bf\b/,
  },
  {
    what: 'a loaded section that no rule knows, which refers to code that changed',
    code: 'diff-section-unknown',
    before: 'int f(int a) { return use(a); } __attribute__((section("my_places"))) void *place = f;',
    after: 'int f(int a) { return use(a + 1); } __attribute__((section("my_places"))) void *place = f;',
    names: /my_places.*\bf\b/,
  },
  {
    what: 'a list that the kernel reads at start',
    code: 'diff-list-changed',
    before: 'const struct { int a, b; } fix __attribute__((section(".pci_fixup_final"), used)) = { 1, 2 };',
    after: 'const struct { int a, b; } fix __attribute__((section(".pci_fixup_final"), used)) = { 1, 3 };',
    names: /\.pci_fixup_final/,
  },
  {
    what: 'a jump label whose key is in a module',
    code: 'diff-key-module',
    before: 'static struct static_key key; int f(int a) { if (static_branch(&key)) return use(a); return a; }',
    after: 'static struct static_key key; int f(int a) { if (static_branch(&key)) return use(a); return a + 1; }',
    setting: { object: 'themodule' },
    names: /\bf\b.*jump label.*key/,
  },
  {
    what: 'a jump label whose key is not exported, before 5.8',
    code: 'diff-key-early',
    before: 'static struct static_key key; int f(int a) { if (static_branch(&key)) return use(a); return a; }',
    after: 'static struct static_key key; int f(int a) { if (static_branch(&key)) return use(a); return a + 1; }',
    setting: { kernel: { major: 5, minor: 4 } },
    names: /\bf\b.*key/,
  },
  {
    what: 'a function that the kernel does not have under this name',
    code: 'diff-symbol-missing',
    before: 'int f(int a) { return use(a); }',
    after: 'int f(int a) { return use(a + 1); }',
    setting: { options: { symbols: [] } },
    names: /\bf\b.*vmlinux/,
  },
  {
    what: 'a static function that the kernel has twice',
    code: 'diff-symbol-ambiguous',
    before: 'static noinline int f(int a) { return use(a); } int g(int a) { return f(a); }',
    after: 'static noinline int f(int a) { return use(a + 1); } int g(int a) { return f(a); }',
    setting: {
      options: {
        symbols: [
          { name: 'f', kind: 'function', bind: 'local' },
          { name: 'f', kind: 'function', bind: 'local' },
        ],
      },
    },
    names: /\bf\b.*2/,
  },
  {
    what: 'static variables of one name in one function of which one went',
    code: 'diff-local-ambiguous',
    before: 'int f(int a) { if (a) { static int n; return use(n++); } { static int n; return use(n += 2); } }',
    after: 'int f(int a) { if (a) { static int n; return use(n++); } return 2; }',
    names: /\bf\b.*\bn\b/,
  },
  {
    what: 'a reference from code that stays to init data',
    code: 'diff-refers-init',
    before: 'int __initdata early = 3; int f(int a) { return a; }',
    after: 'int __initdata early = 3; int f(int a) { return a + early; }',
    names: /\bf\b.*early.*\.init\.data/,
  },
  {
    what: 'the address of a function that the kernel has sealed',
    code: 'diff-sealed',
    before: `int g(int a) { return use(a); } int f(int a) { return g(a); }
      asm(".section .ibt_endbr_seal,\\"a\\"\\n.long g - .\\n");`,
    after: `int g(int a) { return use(a); } int f(int a) { return use2(g, a); }
      asm(".section .ibt_endbr_seal,\\"a\\"\\n.long g - .\\n");`,
    names: /\bf\b.*\bg\b/,
  },
  {
    what: 'a function that is gone although its address was handed out',
    code: 'diff-removed-address',
    before: 'static noinline void timer(int a) { use(a); } int f(int a) { return use2(timer, a); }',
    after: 'int f(int a) { return use2(0, a); }',
    names: /timer.*/,
  },
  {
    what: 'code of the vDSO',
    code: 'diff-vdso',
    before: 'int __vdso_getcpu(int a) { return a + 1; }',
    after: 'int __vdso_getcpu(int a) { return a + 2; }',
    names: /original\.o/,
  },
];

for (const { what, code, before, after, setting, names } of cases) {
  test(`refused: ${what}`, async () => {
    const error = await provokes(code, () => differ(before, after, setting));
    assert.match(`${error.message} ${error.detail ?? ''}`, names);
    assert.ok(error.where.offset !== undefined);
  });
}

test('all refusals of a pair are listed, each with its way out', async () => {
  const before = 'char b[4]; int a = 1; int f(void) { return a + b[0]; } notrace int g(void) { return 1; }';
  const after = 'char b[8]; int a = 2; int f(void) { return a + b[0]; } notrace int g(void) { return 2; }';
  const error = await provokes('diff-data-changed', () => differ(before, after));
  assert.match(error.detail ?? '', /initial value of a changed[\s\S]*size of b changed[\s\S]*function g changed/);
});

test('init code of the kernel image that changed is left out with a note', () => {
  const source = (n: number): string =>
    `int __init start(int a) { return use(a + ${n}); } int f(int a) { return use(a * ${n}); }`;
  const result = differ(source(2), source(3));
  assert.deepEqual(functionsOf(result), ['changed f']);
  assert.match(result.notes.join('\n'), /left out: the change of start in \.init\.text: it has run/);
  const both = differ(source(2), source(3), { object: 'themodule', options: { leaveOutInit: true } });
  assert.match(
    both.notes.join('\n'),
    /left out: the change of start in \.init\.text: it runs only when themodule is loaded/,
  );
});

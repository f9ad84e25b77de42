/** Changes without an effect in a running kernel, and objects of which nothing can be said: never "no change". */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { KpatchError } from '#kpatch/base/errors/error.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { diff } from '#kpatch/differ/diff.ts';
import { leftOutError, noEffectError } from '#kpatch/differ/left-out-error.ts';
import type { DiffResult, LeftOutChange } from '#kpatch/differ/options.ts';
import { oldClang } from '../compilers.ts';
import { provokes } from '../provoke.ts';
import { compile, differ, gcc, optionsFor, prelude } from './fixture.ts';

const reasons = ({ leftOut }: DiffResult): string[] => leftOut.map(({ reason, name }) => `${reason} ${name}`);
const f = 'int f(int a) { return use(a); }';

test('only init code changes: left out, not unchanged, and the error names it', async () => {
  const result = differ(`${f} int __init start(void) { return 1; }`, `${f} int __init start(void) { return 2; }`);
  assert.equal(result.status, 'left out');
  assert.deepEqual(reasons(result), ['init start']);
  const error = await provokes('diff-left-out', () => {
    throw leftOutError(result.leftOut, 'b.o');
  });
  assert.match(error.message, /start \(\.init\.text\)/);
  assert.match(error.detail ?? '', /the change of start in \.init\.text: it has run and its memory is free/);
});

test('only init data changes, or only exit code of the kernel image', () => {
  const data = differ(`${f} __initdata int n = 1;`, `${f} __initdata int n = 2;`);
  assert.deepEqual([data.status, ...reasons(data)], ['left out', 'init n']);
  const exit = differ(`${f} void __exit end(void) { use(1); }`, `${f} void __exit end(void) { use(2); }`);
  assert.deepEqual([exit.status, ...reasons(exit)], ['left out', 'exit end']);
});

test('init code that only one version has: other files can call it at boot, so the versions do not mean the same', () => {
  const fresh = 'int __init fresh(void) { return use(3); }';
  for (const [before, after] of [
    [f, `${f} ${fresh}`],
    [`${f} ${fresh}`, f],
  ] as const) {
    const result = differ(before, after);
    assert.deepEqual([result.status, ...reasons(result)], ['left out', 'init fresh']);
  }
  const data = differ(f, `${f} __initdata int fresh = 4;`);
  assert.deepEqual([data.status, ...reasons(data)], ['left out', 'init fresh']);
  const exit = differ(f, `${f} void __exit fresh(void) { use(1); }`);
  assert.deepEqual([exit.status, ...reasons(exit)], ['left out', 'exit fresh']);
  // Beside a change that can be patched it is a note.
  const both = differ(f, `${f.replace('use(a)', 'use(a) + 1')} ${fresh}`);
  assert.deepEqual([both.status, ...reasons(both)], ['changed', 'init fresh']);
});

test('a variable that is kept in another way: read-only after init, with a larger alignment', () => {
  const data = (text: string): string => `${f} ${text} int *g(void) { return &n; }`;
  const after = differ(data('int n = 7;'), data('int n __attribute__((section(".data..ro_after_init"))) = 7;'));
  assert.deepEqual([after.status, ...reasons(after)], ['left out', 'place n']);
  assert.match(after.leftOut[0]!.text, /n stays writable/);
  const mostly = 'int m __read_mostly = 1;';
  const larger = differ(
    data(`${mostly} int n __read_mostly = 7;`),
    data(`${mostly} int n __read_mostly __attribute__((aligned(128))) = 7;`),
  );
  assert.equal(larger.status, 'left out');
  assert.ok(reasons(larger).includes('place n'), JSON.stringify(larger.leftOut));
  // A new variable can be the one; and speed is no meaning.
  const fresh = differ(
    data(`int n __read_mostly = 7;`),
    data(`int n __read_mostly = 7; int k __read_mostly __attribute__((aligned(128))) = 2;`),
  );
  assert.ok(!reasons(fresh).includes('place k'));
  const faster = differ(data('int n = 7;'), data(`${mostly.replace('m', 'extra')} int n __read_mostly = 7;`));
  assert.deepEqual(reasons(faster), []);
});

test('the line of a message counts only where its format prints it as one, without debug information', () => {
  const message = (format: string, line: number): string =>
    `int f(int a) { printk("${format}", __func__, ${line}); return use(a); }`;
  const statusOf = (format: string): string => differ(message(format, 5), message(format, 7)).status;
  for (const format of ['%s:%d', '%s: line %d', '%s(%d): x', '%s() line %u'])
    assert.equal(statusOf(format), 'unchanged', format);
  for (const format of ['%s: %d', '%s failed with %d', '%s: error %d'])
    assert.equal(statusOf(format), 'changed', format);
});

test('a global function or variable is removed', () => {
  const func = differ(`${f} int g(int a) { return use(a) + 1; }`, f);
  assert.deepEqual([func.status, ...reasons(func)], ['left out', 'removed g']);
  const variable = differ(`${f} int v = 3;`, f);
  assert.deepEqual([variable.status, ...reasons(variable)], ['left out', 'removed v']);
  // A static function that no other file can use is not a change.
  assert.equal(differ(`${f} static __attribute__((used)) int g(int a) { return a; }`, f).status, 'unchanged');
});

test('an overridden weak function is not part of the kernel: no change, and a note says why', () => {
  const before = `${f} __attribute__((weak)) int h(int a) { return a; }`;
  const [original, patched] = [before, before.replace('return a;', 'return a + 1;')].map((source) =>
    compile(gcc, prelude + source),
  );
  const options = optionsFor(original!);
  const symbols = options.symbols.map((symbol) => (symbol.name === 'h' ? { ...symbol, weak: false } : symbol));
  const result = diff(original!, patched!, { ...options, symbols });
  assert.deepEqual([result.status, ...reasons(result)], ['unchanged', 'overridden h']);
  assert.match(result.notes.join('\n'), /h: it is weak, and the kernel uses the definition of another file/);
});

test('a patch without an effect: each kind has an error of its own', async () => {
  const change = (reason: 'init' | 'overridden', name: string): LeftOutChange => ({
    reason,
    name,
    section: '.text',
    text: '',
  });
  const provoke = (
    code: 'no-change' | 'change-overridden' | 'diff-left-out',
    list: LeftOutChange[],
  ): Promise<KpatchError> =>
    provokes(code, () => {
      throw noEffectError(list, ['a note'], '6.1.0');
    });
  const same = await provoke('no-change', []);
  assert.deepEqual([same.exit, same.detail], [3, 'a note']);
  const overridden = await provoke('change-overridden', [change('overridden', 'h'), change('overridden', 'k')]);
  assert.equal(overridden.exit, 3);
  assert.match(overridden.message, /6\.1\.0 does not contain: h, k/);
  assert.equal((await provoke('diff-left-out', [change('overridden', 'h'), change('init', 'start')])).exit, 4);
});

/** EXPORT_SYMBOL until 6.3, and since. */
const exporters = [
  (kind: string): string =>
    `asm(".section \\"___ksymtab${kind}+f\\",\\"a\\"\\n__ksymtab_f: .long f - .\\n .long 0\\n.previous");`,
  (kind: string): string =>
    `asm(".section \\".export_symbol\\",\\"a\\"\\n__export_symbol_f: .asciz \\"${kind}\\"\\n.asciz \\"\\"\\n.balign 8\\n.quad f\\n.previous");`,
];

for (const [index, exporter] of exporters.entries()) {
  test(`an export that goes, comes or changes its licence (form ${index})`, () => {
    const results = [
      differ(f + exporter(''), f),
      differ(f, f + exporter('')),
      differ(f + exporter(''), f + exporter('_gpl')),
    ];
    for (const result of results) assert.deepEqual([result.status, ...reasons(result)], ['left out', 'export f']);
    const texts = results.map(({ leftOut }) => leftOut[0]!.text.replace(/:.*/, ''));
    assert.deepEqual(texts, ['the export of f is gone', 'the export of f is new', 'the export of f changed']);
    assert.equal(differ(f + exporter(''), f + exporter('')).status, 'unchanged');
  });
}

test('information on the module alone changes, as an alias for another device', () => {
  const info = (text: string): string =>
    `const char info[] __attribute__((used, section(".modinfo"), aligned(1))) = "${text}";`;
  const result = differ(f + info('alias=pci:1'), f + info('alias=pci:2'));
  assert.equal(result.status, 'left out');
  assert.deepEqual(reasons(result), ['module information alias=pci:1', 'module information alias=pci:2']);
});

test('a section of an unknown kind comes, and no code uses it', () => {
  const result = differ(f, `${f} asm(".section __own_table,\\"a\\"\\n.quad 1\\n.previous");`);
  assert.deepEqual([result.status, ...reasons(result)], ['left out', 'section __own_table']);
});

/** Compiles with a compiler and flags of its own. */
function compiled(compiler: string, flags: readonly string[], source: string, name = 'a.c'): Uint8Array {
  using folder = temporaryFolder('kpatch-lto-');
  const path = join(folder.path, 'a.o');
  writeFileSync(join(folder.path, name), source);
  execFileSync(compiler, [...flags, '-O2', '-c', '-o', path, join(folder.path, name)]);
  return new Uint8Array(readFileSync(path));
}

test('objects of two different files are refused', async () => {
  const one = compiled('gcc', [], 'static int x; int f(void) { return x++; }', 'one.c');
  const other = compiled('gcc', [], 'static int y; static __attribute__((used)) int g(void) { return y++; }', 'two.c');
  const error = await provokes('diff-unrelated', () => diff(one, other, optionsFor(one)));
  assert.match(error.message, /original\.o and patched\.o have no function or variable in common/);
});

test('objects for link-time optimization are refused by name', async () => {
  const [one, other] = ['int f(int a) { return a; }', 'int f(int a) { return a + 1; }'];
  const flags = ['-flto', '-fno-fat-lto-objects'];
  const slim = [compiled('gcc', flags, one), compiled('gcc', flags, other)];
  const error = await provokes('diff-lto', () => diff(slim[0]!, slim[1]!, optionsFor(slim[0]!)));
  assert.match(error.message, /gcc's intermediate code/);
  const bitcode = [compiled(oldClang, ['-flto'], one), compiled(oldClang, ['-flto=thin'], other)];
  const plain = compiled('gcc', [], one);
  await provokes('elf-bitcode', () => diff(bitcode[0]!, plain, optionsFor(plain)));
  await provokes('elf-bitcode', () => diff(plain, bitcode[1]!, optionsFor(plain)));
});

test('objects with machine code beside intermediate code are compared by their machine code', () => {
  const flags = ['-flto', '-ffat-lto-objects', '-pg', '-mfentry', '-ffunction-sections', '-fno-PIE', '-mrecord-mcount'];
  const [one, other] = [1, 2].map((n) => compiled('gcc', flags, `int f(int a) { return a + ${n}; }`));
  const result = diff(one!, other!, optionsFor(one!));
  assert.deepEqual(
    result.functions.map(({ name }) => name),
    ['f'],
  );
});

test('two different objects without code and data are never unchanged', async () => {
  const strange = (byte: number): Uint8Array => compile(gcc, `asm(".section .strange\\n.byte ${byte}\\n.previous");`);
  const error = await provokes('diff-no-code', () => diff(strange(1), strange(2), optionsFor(strange(1))));
  assert.match(error.message, /they differ in \.strange/);
  // A file that the configuration leaves empty, on other lines, is the same.
  const [empty, shifted] = ['typedef int a;', '\n\ntypedef int a;'].map((source) => compile(gcc, source, ['-g']));
  assert.equal(diff(empty!, shifted!, optionsFor(empty!)).status, 'unchanged');
});

/** The ways in: create-diff-object with the arguments and statuses of dynup/kpatch, kpatch diff, and symbol tables. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { localsMatcher } from '#kpatch/differ/parts/symbols/source-file.ts';
import { parseKallsyms, parseReadelf } from '#kpatch/differ/parts/symbols/symbol-table.ts';
import { ElfFile } from '#kpatch/formats/elf/file.ts';
import { modinfoOf } from '#kpatch/formats/elf/modinfo.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { compile, gcc, prelude } from './fixture.ts';

const root = join(import.meta.dirname, '../../../..');

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Writes both versions and runs a program in their folder; `{output}` exists afterwards only where it was written. */
function run(
  program: 'create-diff-object' | 'kpatch',
  before: string,
  after: string,
  words: (path: (name: string) => string) => string[],
  environment: Readonly<Record<string, string>> = {},
): Ran & { readonly output: Uint8Array | undefined } {
  using folder = temporaryFolder('kpatch-programs-');
  const path = (name: string): string => join(folder.path, name);
  writeFileSync(path('a.o'), compile(gcc, prelude + before));
  writeFileSync(path('b.o'), compile(gcc, prelude + after));
  writeFileSync(path('symtab'), execFileSync('readelf', ['-s', '--wide', path('a.o')]));
  writeFileSync(path('symvers'), '0x12345678\tuse\tvmlinux\tEXPORT_SYMBOL\t\n');
  const ran = spawnSync(join(root, 'bin', program), words(path), { env: { ...process.env, ...environment } });
  const output = existsSync(path('out.o')) ? execFileSync('cat', [path('out.o')]) : undefined;
  return { status: ran.status, stdout: ran.stdout.toString(), stderr: ran.stderr.toString(), output };
}

const seven = (path: (name: string) => string): string[] => [
  path('a.o'),
  path('b.o'),
  'vmlinux',
  path('symtab'),
  path('symvers'),
  'kpatch_test',
  path('out.o'),
];

test('create-diff-object: the namespaces that the source imports stand in .modinfo, as a linked module has them', () => {
  const imports = `#define IMPORT(id, text) const char id[] __attribute__((used, section(".modinfo"), aligned(1))) = text;
IMPORT(one, "import_ns=ONE") IMPORT(two, "some.import_ns=TWO") IMPORT(other, "some.license=GPL")
`;
  const { status, output } = run(
    'create-diff-object',
    `${imports}int f(int a) { return use(a); }`,
    `${imports}int f(int a) { return use(a) + 1; }`,
    seven,
  );
  assert.equal(status, 0);
  assert.deepEqual(modinfoOf(new ElfFile(output!, 'out.o')), [
    { key: 'import_ns', value: 'ONE' },
    { key: 'import_ns', value: 'TWO' },
  ]);
});

test('create-diff-object: with --klp-arch the tables that livepatch applies are named, as kernels before 5.8 need it', () => {
  const [before, after] = [1, 2].map((n) => `int f(int a) { ALTERNATIVE("nop", "pause", 4); return use(a + ${n}); }`);
  const names = (words: string[]): string[] => {
    const { output } = run('create-diff-object', before!, after!, (path) => [...words, ...seven(path)]);
    return readObject(output!, 'out.o').sections.map(({ name }) => name);
  };
  for (const word of ['-a', '--klp-arch']) assert.ok(names([word]).includes('.kpatch.arch'));
  assert.ok(!names([]).includes('.kpatch.arch'));
});

test('create-diff-object: --arch, which newer build scripts pass, is taken', () => {
  const words = (path: (name: string) => string): string[] => ['--arch=x86_64', ...seven(path)];
  const { status } = run('create-diff-object', 'int f(int a) { return use(a); }', 'int f(int a) { return 3; }', words);
  assert.equal(status, 0);
});

test('create-diff-object: status 0, the wording of changes, and the intermediate sections', () => {
  const { status, stdout, output } = run(
    'create-diff-object',
    'int f(int a) { return use(a); }',
    'static noinline int g(int a) { return use(a) + 1; } int f(int a) { return g(a); }',
    seven,
  );
  assert.equal(status, 0);
  assert.match(stdout, /changed function: f$/m);
  assert.match(stdout, /new function: g$/m);
  const names = readObject(output!, 'out.o').sections.map(({ name }) => name);
  for (const name of ['.kpatch.funcs', '.kpatch.symbols', '.kpatch.relocations', '.kpatch.strings', '.text.f']) {
    assert.ok(names.includes(name), name);
  }
});

test('create-diff-object: status 3 for no change, 2 for what cannot be patched, 1 for errors; no output then', () => {
  const source = 'int f(int a) { return use(a); }';
  assert.equal(run('create-diff-object', source, `\n${source}`, seven).status, 3);
  const fatal = run(
    'create-diff-object',
    'int v = 1; int f(void) { return v; }',
    'int v = 2; int f(void) { return v; }',
    seven,
  );
  assert.equal(fatal.status, 2);
  assert.match(fatal.stderr, /initial value of v changed/);
  assert.equal(fatal.output, undefined);
  assert.equal(run('create-diff-object', source, source, (path) => seven(path).slice(0, 6)).status, 1);
  assert.equal(
    run('create-diff-object', source, source, (path) => [path('symvers'), ...seven(path).slice(1)]).status,
    1,
  );
  assert.equal(run('create-diff-object', source, source, seven, { BUG_STRUCT_SIZE: 'x' }).status, 1);
});

test('create-diff-object: changed init parts are refused, also beside other changes; what is only gone is no change', () => {
  const source = (n: number, m: number): string =>
    `int f(int a) { return use(a + ${n}); } int __init start(void) { return ${m}; } __initdata int d = ${m};`;
  for (const after of [source(1, 2), source(2, 2)]) {
    const { status, stderr, output } = run('create-diff-object', source(1, 1), after, seven);
    assert.equal(status, 2);
    assert.match(stderr, /no effect in a running kernel: d \(\.init\.data\), start \(\.init\.text\)/);
    assert.equal(output, undefined);
  }
  // A list that the kernel reads at boot comes: left out beside other changes, and refused alone.
  const list = 'static void *call __attribute__((used, section(".initcall6.init"))) = (void *)1;';
  assert.equal(run('create-diff-object', source(1, 1), source(2, 1) + list, seven).status, 0);
  assert.equal(run('create-diff-object', source(1, 1), source(1, 1) + list, seven).status, 2);
  const g = 'int g(int a) { return a; }';
  assert.equal(run('create-diff-object', source(1, 1) + g, source(1, 1), seven).status, 3);
  const words = (path: (name: string) => string): string[] => ['diff', path('a.o'), path('b.o')];
  const gone = run('kpatch', source(1, 1) + g, source(1, 1), words);
  assert.equal(gone.status, 4);
  assert.match(gone.stderr, /g is removed: the running kernel keeps it/);
});

test('create-diff-object: sizes in the environment that contradict the object are reported, and the object is believed', () => {
  const before = 'int f(int a) { WARN_ON(a); return use(a); }';
  const after = 'int f(int a) { WARN_ON(a); return use(a + 1); }';
  const right = run('create-diff-object', before, after, seven, { BUG_STRUCT_SIZE: '12' });
  assert.equal(right.status, 0);
  assert.doesNotMatch(right.stdout, /__bug_table/);
  const wrong = run('create-diff-object', before, after, seven, { BUG_STRUCT_SIZE: '8' });
  assert.equal(wrong.status, 0);
  assert.match(wrong.stdout, /note: __bug_table: the entries have 12 bytes in this object, not 8 as given/);
  assert.deepEqual(Buffer.from(wrong.output!), Buffer.from(right.output!));
});

test('kpatch diff: text, JSON, the output file and --explain', () => {
  const before = 'int f(int a) { return use(a) * 3; }';
  const after = 'int f(int a) { return use(a) * 5; }';
  const words = (more: string[]) => (path: (name: string) => string) => [
    'diff',
    path('a.o'),
    path('b.o'),
    '--symtab',
    path('symtab'),
    '--symvers',
    path('symvers'),
    ...more.map((word) => (word === 'OUT' ? path('out.o') : word)),
  ];
  const text = run('kpatch', before, after, words(['-o', 'OUT']));
  assert.equal(text.status, 0);
  assert.match(text.stdout, /changed function: f\n {2}the bytes differ at f\+0x/);
  assert.match(text.stdout, /\nNext:\n {2}kpatch diff \S+a\.o \S+b\.o --symtab .* --explain f {2}both versions/);
  assert.ok(readObject(text.output!, 'out.o').sections.some(({ name }) => name === '.kpatch.funcs'));
  const document = JSON.parse(run('kpatch', before, after, words(['--json'])).stdout);
  assert.equal(document.schema, 'kpatch.diff/1');
  assert.deepEqual(
    document.functions.map(({ name }: { name: string }) => name),
    ['f'],
  );
  const explained = run('kpatch', before, after, words(['--explain', 'f']));
  assert.match(explained.stdout, /call use\s+\|.*call use/);
  assert.match(explained.stdout, /^> .*lea.*\|/m);
  assert.equal(run('kpatch', before, after, words(['--explain', 'nothing'])).status, 2);
  assert.equal(run('kpatch', before, before, words([])).status, 3);
  assert.equal(run('kpatch', before, after, words(['--kernel', 'new'])).status, 2);
});

test('symbol tables: readelf with FILE symbols, kallsyms; a static symbol is found by the other ones of its file', () => {
  const readelf = `Symbol table '.symtab' contains 9 entries:
   Num:    Value          Size Type    Bind   Vis      Ndx Name
     0: 0000000000000000     0 NOTYPE  LOCAL  DEFAULT  UND
     1: 0000000000000000     0 FILE    LOCAL  DEFAULT  ABS other.c
     2: ffffffff81000000    16 FUNC    LOCAL  DEFAULT    1 helper
     3: 0000000000000000     0 FILE    LOCAL  DEFAULT  ABS a.c
     4: ffffffff81000010    16 FUNC    LOCAL  DEFAULT    1 helper
     5: ffffffff82000000     8 OBJECT  LOCAL  DEFAULT    2 mine
     6: ffffffff81000020    16 FUNC    GLOBAL DEFAULT    1 f
     7: 0000000000000000     0 NOTYPE  GLOBAL DEFAULT  UND outside`;
  const symbols = parseReadelf(readelf);
  assert.deepEqual(
    symbols.map(({ name, bind, file }) => [name, bind, file]),
    [
      ['helper', 'local', 'other.c'],
      ['helper', 'local', 'a.c'],
      ['mine', 'local', 'a.c'],
      ['f', 'global', undefined],
    ],
  );
  const object = compile(
    gcc,
    `${prelude}static noinline int helper(int a) { return use(a); }
    static int mine[2] = { 1, 2 }; int f(int a) { mine[a]++; return helper(a); }`,
  );
  const resolve = localsMatcher(object, 'a.o', symbols);
  assert.equal(resolve({ name: 'helper', kind: 'function', file: 'a.o', count: 2 }), 2);
  const lines = parseKallsyms('ffffffff81000000 t helper\nffffffff81000010 T f\nffffffff82000000 d mine\nnot a line\n');
  assert.deepEqual(
    lines.map(({ name, kind, bind }) => `${name} ${kind} ${bind}`),
    ['helper function local', 'f function global', 'mine object local'],
  );
});

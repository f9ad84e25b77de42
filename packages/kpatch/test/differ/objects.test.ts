/** Objects that no compiler of this test writes: other machines, odd relocations, several source files in one. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { diff } from '#kpatch/differ/diff.ts';
import { explain } from '#kpatch/differ/explain.ts';
import type { ElfObject } from '#kpatch/formats/elf/object.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { writeObject } from '#kpatch/formats/elf/write-object.ts';
import { aarch64 } from '#kpatch/platform/arm64/machine.ts';
import { provokes } from '../provoke.ts';
import { compile, differ, functionsOf, gcc, optionsFor, prelude } from './fixture.ts';

const source = 'int g(int a) { return use(a); } int f(int a) { return use2(g, a); }';

function rewritten(bytes: Uint8Array, change: (object: ElfObject) => void): Uint8Array {
  const object = readObject(bytes, 'a.o');
  change(object);
  return writeObject(object);
}

test('objects of two machines are no pair', async () => {
  const bytes = compile(gcc, prelude + source);
  const other = rewritten(bytes, (object) => {
    object.machine = aarch64.machine;
  });
  await provokes('diff-machines', () => diff(bytes, other, optionsFor(bytes)));
});

test('a relocation type that the kernel does not use', async () => {
  const bytes = compile(gcc, prelude + source);
  const odd = rewritten(bytes, (object) => {
    object.sections.find(({ name }) => name === '.text.f')!.relocations[0]!.type = 200;
  });
  const error = await provokes('diff-relocation-unknown', () => diff(bytes, odd, optionsFor(bytes)));
  assert.equal(error.where.section, '.text.f');
});

test('a table that cannot be cut into entries', async () => {
  const table = 'asm(".section __bug_table,\\"aw\\"\\n.byte 1, 2, 3\\n");';
  const error = await provokes('diff-entry-size', () => differ(source + table, source + table));
  assert.equal(error.where.section, '__bug_table');
});

test('explaining a function that is in neither object', async () => {
  const bytes = compile(gcc, prelude + source);
  await provokes('diff-function-unknown', () => explain(bytes, bytes, optionsFor(bytes), 'h'));
});

test('a pointer into the middle of a function that changed', async () => {
  const into = (bytes: Uint8Array): Uint8Array =>
    rewritten(bytes, ({ sections }) => {
      for (const relocation of sections.find(({ name }) => name === '.text.f')!.relocations) {
        if (relocation.symbol?.name === 'g') relocation.addend += 5;
      }
    });
  const before = into(compile(gcc, prelude + source));
  const after = into(
    compile(gcc, `${prelude}int g(int a) { return use(a + 1); } int f(int a) { return use2(g, a + 1); }`),
  );
  const error = await provokes('diff-reference-inner', () => diff(before, after, optionsFor(before)));
  assert.match(error.message, /f refers to an address inside g/);
});

test('an alternative of a module that calls what only a livepatch relocation reaches', async () => {
  const text = (n: number): string =>
    `void helper(void) { use(1); } int f(int a) { ALTERNATIVE("nop\\nnop\\nnop\\nnop\\nnop", "call helper", 3); return use(a + ${n}); }`;
  const error = await provokes('diff-table-late', () => differ(text(1), text(2), { object: 'themodule' }));
  assert.match(error.message, /helper/);
  assert.equal(differ(text(1), text(2)).status, 'changed');
});

/** Links the objects of several sources into one, as the kernel does for a directory. */
function joined(sources: readonly string[]): Uint8Array {
  using folder = temporaryFolder('kpatch-joined-');
  const path = (name: string): string => join(folder.path, name);
  const names = sources.map((text, index) => {
    writeFileSync(path(`part${index}.c`), prelude + text);
    execFileSync('gcc', [...gcc.flags, '-c', '-o', `part${index}.o`, `part${index}.c`], { cwd: folder.path });
    return `part${index}.o`;
  });
  execFileSync('ld', ['-r', '-o', 'all.o', ...names], { cwd: folder.path });
  return new Uint8Array(readFileSync(path('all.o')));
}

test('several source files in one object: static functions of one name are distinguished by their file', () => {
  const unit = (name: string, n: number): string =>
    `static noinline int init(int a) { static int count; return use(a + count++) ^ ${n}; } int ${name}(int a) { return init(a); }`;
  const before = joined([unit('first', 1), unit('second', 2)]);
  const after = joined([unit('first', 1), unit('second', 3)]);
  const options = optionsFor(before, {
    options: {
      symbols: [
        { name: 'init', kind: 'function', bind: 'local', file: 'part0.c' },
        { name: 'init', kind: 'function', bind: 'local', file: 'part1.c' },
        { name: 'count.0', kind: 'object', bind: 'local', file: 'part0.c' },
        { name: 'count.0', kind: 'object', bind: 'local', file: 'part1.c' },
      ],
    },
  });
  const result = diff(before, after, options);
  assert.deepEqual(functionsOf(result), ['changed init']);
  assert.equal(result.functions[0]!.sympos, 2);
  assert.deepEqual(
    result.references.filter(({ name }) => name.startsWith('count')).map(({ sympos }) => sympos),
    [2],
  );
  assert.equal(diff(before, before, options).status, 'unchanged');
});

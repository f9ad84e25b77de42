/** What concerns the object as a whole, on one target of each architecture: several files in one object, what is extracted. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { intermediateObject } from '#kpatch/compat/intermediate.ts';
import { diff } from '#kpatch/differ/diff.ts';
import type { DiffResult } from '#kpatch/differ/options.ts';
import { definedIn } from '#kpatch/formats/elf/object.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { optionsFor } from '../fixture.ts';
import { type Target, targets } from './targets.ts';

const chosen = [1, 5, 6, 8, 10].map((index) => targets[index]!);

/** Compiles each source as a file of its own name, and joins them with `ld -r`. */
function joined(target: Target, sources: Readonly<Record<string, string>>, flags: readonly string[] = []): Uint8Array {
  using folder = temporaryFolder('kpatch-joined-');
  const objects = Object.entries(sources).map(([name, source]) => {
    writeFileSync(join(folder.path, `${name}.c`), `${target.headers}\n#line 1 "${name}.c"\n${source}\n`);
    execFileSync(target.compiler, [...target.flags, ...flags, '-c', `${name}.c`], { cwd: folder.path });
    return `${name}.o`;
  });
  execFileSync(target.linker, ['-r', '-o', 'joined.o', ...objects], { cwd: folder.path });
  return new Uint8Array(readFileSync(join(folder.path, 'joined.o')));
}

function compare(original: Uint8Array, patched: Uint8Array): DiffResult {
  return diff(original, patched, optionsFor(original));
}

const listed = ({ functions }: DiffResult): string[] => functions.map(({ kind, name }) => `${kind} ${name}`).sort();

const part = (number: number, factor: number): string =>
  `static int count; static noinline int h(int a) { count += a; return use(count) * ${factor}; } int f${number}(int a) { might_sleep(); return h(a) + ${number}; }`;

for (const target of chosen) {
  test(`${target.name}: files of one object keep their static functions and variables apart`, () => {
    const original = joined(target, { a: part(1, 3), b: part(2, 5) });
    assert.deepEqual(listed(compare(original, joined(target, { a: part(1, 3), b: part(2, 5) }))), []);
    const result = compare(original, joined(target, { a: `\n\n${part(1, 3)}`, b: part(2, 7) }));
    assert.deepEqual(listed(result), ['changed h']);
    assert.equal(result.functions[0]!.sympos, 2);
    assert.ok(result.references.some(({ name, sympos }) => name === 'count' && sympos === 2));
    // The other file's variable of the same name is another one.
    const moved = compare(original, joined(target, { a: part(1, 9), b: part(2, 5) }));
    assert.deepEqual(
      moved.functions.map(({ sympos }) => sympos),
      [1],
    );
  });

  test(`${target.name}: cold parts of functions of one name belong each to the function of its file`, () => {
    const unit = (number: number, value: number): string =>
      `static noinline int h(int a) { if (unlikely(a == 5)) { cold_use(a); cold_use(${value}); return use(7); } return use(a) * ${number}; } int f${number}(int a) { return h(a) + ${number}; }`;
    const original = joined(target, { a: unit(3, 1), b: unit(5, 2) });
    for (const [patched, sympos] of [
      [joined(target, { a: unit(3, 9), b: unit(5, 2) }), 1],
      [joined(target, { a: unit(3, 1), b: unit(5, 9) }), 2],
    ] as const) {
      const { functions, travelling } = compare(original, patched);
      assert.deepEqual(
        functions.map((one) => [one.name, one.sympos]),
        [['h', sympos]],
      );
      assert.ok(travelling.filter(({ kind }) => kind === 'cold part').length <= 1);
    }
  });

  test(`${target.name}: what is extracted from a section of several functions is whole`, () => {
    const source = (factor: number): string => `#define here __attribute__((section(".sched.text")))
int value = 3;
here noinline int e(int a) { return use(a) + value; } here noinline int f(int a) { value += e(a) * ${factor}; return use(value) + 2; } here noinline int g(int a) { return e(a) + f(a) + value; }`;
    const original = joined(target, { a: source(3) });
    const patched = joined(target, { a: source(7) });
    const result = compare(original, patched);
    assert.deepEqual(listed(result), ['changed f']);
    const output = readObject(intermediateObject(result.patch()), 'out.o');
    const [now, then] = [output, readObject(patched, 'patched.o')].map((object) => {
      const symbol = object.symbols.find(({ name }) => name === 'f')!;
      return { symbol, section: definedIn(symbol)! };
    });
    assert.equal(now!.section.name, '.text.f');
    // Before the entry: the distance to the TOC of ppc64le (large model), the NOPs of -fpatchable-function-entry=n,m.
    const lead = target.arch === 'ppc64le' ? 8 : /padding/.test(target.name) ? (target.arch === 'x86-64' ? 16 : 8) : 0;
    assert.equal(now!.symbol.value, lead);
    const size = now!.symbol.size;
    assert.equal(size, then!.symbol.size);
    const places = [...now!.section.relocations].map(({ offset }) => offset - now!.symbol.value);
    const masked = ({ symbol, section }: typeof now & object): string => {
      const bytes = section.data.slice(symbol.value, symbol.value + size);
      const all = then!.section.relocations.map(({ offset }) => offset - then!.symbol.value);
      for (const at of [...all, ...places]) if (at >= 0 && at < size) bytes.fill(0, at - (at % 2), at + 4);
      return Buffer.from(bytes).toString('hex');
    };
    if (target.arch !== 's390x') assert.equal(masked(now!), masked(then!));
    if (target.arch === 'ppc64le') assert.ok(places.includes(-8), 'the distance to the TOC is relocated');
  });

  test(`${target.name}: the linker takes what is extracted`, () => {
    const source = (value: number): string =>
      `static const char *const names[] = { "one", "two" }; static struct static_key key; struct static_key *shown = &key;
int f(int a) { static int n; WARN_ON(a == 44); might_sleep(); ALTERNATIVE(OLD, NEW1, 4); if (static_branch(&key)) n += ${value}; return use2(names[a], n) + PROBE(&a); }`;
    const original = joined(target, { a: source(3) });
    const result = compare(original, joined(target, { a: source(4) }));
    assert.deepEqual(listed(result), ['changed f']);
    using folder = temporaryFolder('kpatch-linked-');
    writeFileSync(join(folder.path, 'out.o'), intermediateObject(result.patch()));
    execFileSync(target.linker, ['-r', '-o', 'linked.o', 'out.o'], { cwd: folder.path });
    const linked = readObject(new Uint8Array(readFileSync(join(folder.path, 'linked.o'))), 'linked.o');
    assert.ok(linked.symbols.some(({ name }) => name === 'f'));
  });
}

/**
 * Tables that compilers here do not write (objtool, clang 16): each entry is included with its function, and only with it.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { intermediateObject } from '#kpatch/compat/intermediate.ts';
import { diff } from '#kpatch/differ/diff.ts';
import { STT } from '#kpatch/formats/elf/constants.ts';
import type { ElfObject, Section } from '#kpatch/formats/elf/object.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { writeObject } from '#kpatch/formats/elf/write-object.ts';
import { compile, differ, functionsOf, gcc, optionsFor, prelude } from './fixture.ts';

/** Two functions, each with one entry in every table; `f` returns what is asked for. */
const source = (result: number): string => `
#define ENTRY(state) asm volatile("1: nop\\n" \\
  ".pushsection .kcfi_traps,\\"a\\"\\n .long 1b - .\\n .popsection\\n" \\
  ".pushsection .orc_unwind_ip,\\"a\\"\\n .long 1b - .\\n .popsection\\n" \\
  ".pushsection .orc_unwind,\\"a\\"\\n .byte " #state "," #state "," #state "," #state "," #state "," #state "\\n .popsection\\n")
int g(void) { ENTRY(7); return 1; }
int f(void) { ENTRY(9); return ${result}; }
`;

test('entries of .kcfi_traps and .orc_unwind travel with the function that they describe', () => {
  const result = differ(source(2), source(3));
  assert.deepEqual(
    result.functions.map(({ name }) => name),
    ['f'],
  );
  const { sections } = readObject(intermediateObject(result.patch()), 'output');
  const bytes = (name: string): number[] =>
    sections.filter((section) => section.name === name).flatMap(({ data }) => [...data]);
  assert.equal(bytes('.kcfi_traps').length, 4);
  assert.equal(bytes('.orc_unwind_ip').length, 4);
  assert.deepEqual(bytes('.orc_unwind'), [9, 9, 9, 9, 9, 9]);
  const [trap] = sections.find(({ name }) => name === '.kcfi_traps')!.relocations;
  const home = trap?.symbol?.section;
  assert.equal(typeof home === 'object' ? home.name : home, '.text.f');
});

test('unwind tables are derived from the code: they are no change by themselves', () => {
  const shifted = source(2).replaceAll('ENTRY(7)', 'ENTRY(8)');
  assert.equal(differ(source(2), shifted).status, 'unchanged');
});

/** Objtool makes a jump label's jump to another section a nop, and leaves a relocation of type R_X86_64_NONE behind. */
const jumped = (result: number): string => `
int g(void) { return 1; }
int f(void) { asm volatile("1: nop\\n .reloc 1b, R_X86_64_NONE, .text.g - 4\\n"); return ${result}; }
`;

test('a relocation of no kind names nothing: none is left without a symbol that a linker would look for', () => {
  const result = differ(jumped(2), jumped(3));
  assert.deepEqual(
    result.functions.map(({ name }) => name),
    ['f'],
  );
  const { symbols } = readObject(intermediateObject(result.patch()), 'output');
  assert.deepEqual(
    symbols.filter(({ section, name }) => section === undefined && name === ''),
    [],
  );
  assert.ok(!symbols.some(({ name, type }) => name === '' && type !== STT.SECTION));
});

/**
 * Three functions in one section whose places for ftrace are told by their distance from the first, as recordmcount does.
 */
function recorded(factor: number): Uint8Array {
  const here = '__attribute__((section(".sched.text"))) noinline';
  const bundle = `${here} int e(int a) { return use(a) + 7; } ${here} int f(int a) { return use(a) * ${factor}; } ${here} int g(int a) { return e(a) + f(a); }`;
  const object = readObject(compile(gcc, prelude + bundle), 'a.o');
  const [first] = object.symbols.filter(({ name }) => name === 'e');
  const loc = named(object, '__mcount_loc');
  assert.equal(loc.relocations.length, 3);
  for (const relocation of loc.relocations) {
    relocation.addend += relocation.symbol!.value - first!.value;
    relocation.symbol = first;
  }
  // Nothing else shows where ftrace enters.
  const text = named(object, '.sched.text');
  text.relocations = text.relocations.filter(({ symbol }) => symbol?.name !== '__fentry__');
  return writeObject(object);
}

function named(object: ElfObject, name: string): Section {
  return object.sections.find((section) => section.name === name)!;
}

test('places of ftrace that are told from another function belong to the function where they are', () => {
  const original = recorded(3);
  const result = diff(original, recorded(5), optionsFor(original));
  assert.deepEqual(functionsOf(result), ['changed f']);
  const object = readObject(intermediateObject(result.patch()), 'out.o');
  const [place, ...others] = named(object, '__mcount_loc').relocations;
  assert.deepEqual(others, []);
  assert.equal(place!.symbol!.section, named(object, '.text.f'));
  assert.equal(place!.symbol!.value + place!.addend, 0);
});

test('two functions of a section travel, and each place of ftrace goes to its own', () => {
  const original = recorded(3);
  const patched = readObject(recorded(5), 'a.o');
  const text = named(patched, '.sched.text');
  text.data = text.data.slice();
  const e = patched.symbols.find(({ name }) => name === 'e')!;
  const at = text.data.indexOf(7, e.value);
  assert.ok(at > 0 && at < e.value + e.size);
  text.data[at] = 8;
  const result = diff(original, writeObject(patched), optionsFor(original));
  assert.deepEqual(functionsOf(result), ['changed e', 'changed f']);
  const object = readObject(intermediateObject(result.patch()), 'out.o');
  const homes = named(object, '__mcount_loc').relocations.map(({ symbol, addend }) => {
    assert.equal(symbol!.value + addend, 0);
    return (symbol!.section as Section).name;
  });
  assert.deepEqual(homes.sort(), ['.text.e', '.text.f']);
});

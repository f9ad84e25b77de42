/** Tables that compilers here do not write (objtool, clang 16): each entry travels with its function, and only with it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STT } from '../../src/elf/constants.ts';
import { readObject } from '../../src/elf/read-object.ts';
import { differ } from './fixture.ts';

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
  const { sections } = readObject(result.output(), 'output');
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
  const { symbols } = readObject(result.output(), 'output');
  assert.deepEqual(
    symbols.filter(({ section, name }) => section === undefined && name === ''),
    [],
  );
  assert.ok(!symbols.some(({ name, type }) => name === '' && type !== STT.SECTION));
});

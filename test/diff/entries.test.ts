/** Tables that compilers here do not write (objtool, clang 16): each entry travels with its function, and only with it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
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

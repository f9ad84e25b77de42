/** The rules of the differ on loongarch64, shown on objects that the test writes. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { intermediateObject } from '#kpatch/compat/intermediate.ts';
import { diff } from '#kpatch/differ/diff.ts';
import type { DiffOptions } from '#kpatch/differ/options.ts';
import { SHF } from '#kpatch/formats/elf/constants.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { R_LARCH } from '#kpatch/platform/loongarch64/relocations.ts';
import { functionsOf, optionsFor } from '../differ/fixture.ts';
import {
  addiD,
  addiW,
  BL,
  BREAK,
  type Content,
  fields,
  ldW,
  lu12i,
  NOP,
  ObjectWriter,
  ori,
  pcala,
  RET,
  type Reference,
  words,
} from './loongarch64-object.ts';

const [A0, A1] = [4, 5];
const pair = (offset: number, symbol: string, addend = 0): Reference[] => [
  [offset, R_LARCH.PCALA_HI20, symbol, addend],
  [offset + 4, R_LARCH.PCALA_LO12, symbol, addend],
];

function verdict(original: Uint8Array, patched: Uint8Array, options: Partial<DiffOptions> = {}): string[] | string {
  try {
    return functionsOf(diff(original, patched, optionsFor(original, { options })));
  } catch (error) {
    if (error instanceof KpatchError) return error.code;
    throw error;
  }
}

/** Calls __might_sleep("a.c", line). */
function sleeper(...line: readonly number[]): Content {
  return {
    bytes: words(pcala(A0), addiD(A0, A0, 0), ...line, BL, RET),
    references: [...pair(0, '.rodata.str1.8'), [8 + 4 * line.length, R_LARCH.B26, '__might_sleep']],
  };
}

const withSleeper = (...line: readonly number[]): Uint8Array =>
  new ObjectWriter()
    .strings('.rodata.str1.8', 'a.c')
    .function('f', sleeper(...line))
    .write();

test('loongarch64: lines passed to might_sleep are no change, in one instruction or two', () => {
  const line = (value: number): number[] =>
    value < 0x800
      ? [addiW(A1, 0, value)]
      : value < 0x1000
        ? [ori(A1, 0, value)]
        : [lu12i(A1, value >> 12), ori(A1, A1, value & 0xfff)];
  assert.deepEqual(verdict(withSleeper(...line(30)), withSleeper(...line(33))), []);
  assert.deepEqual(verdict(withSleeper(...line(3000)), withSleeper(...line(3003))), []);
  assert.deepEqual(verdict(withSleeper(...line(5000)), withSleeper(...line(5003))), []);
  assert.deepEqual(verdict(withSleeper(...line(8190)), withSleeper(...line(8193))), []);
  const keepLineChanges = true;
  assert.deepEqual(verdict(withSleeper(...line(30)), withSleeper(...line(33)), { keepLineChanges }), ['changed f']);
  const register = 6;
  assert.deepEqual(verdict(withSleeper(addiW(register, 0, 30)), withSleeper(addiW(register, 0, 33))), ['changed f']);
});

function plain(value: number, callee = 'use'): Content {
  return { bytes: words(addiW(A0, 0, value), BL, RET), references: [[4, R_LARCH.B26, callee]] };
}

test('loongarch64: bodies, callees, variables', () => {
  const one = new ObjectWriter().function('f', plain(1)).function('g', plain(2)).write();
  assert.deepEqual(verdict(one, one), []);
  assert.deepEqual(verdict(one, new ObjectWriter().function('f', plain(1)).function('g', plain(3)).write()), [
    'changed g',
  ]);
  const other = new ObjectWriter().function('g', plain(2)).function('f', plain(1, 'use3')).write();
  assert.deepEqual(verdict(one, other), ['changed f']);
  const reader = (variable: string, addend = 0): Uint8Array =>
    new ObjectWriter()
      .variable('one', words(1, 2))
      .variable('two', words(1, 2))
      .function('f', { bytes: words(pcala(A0), ldW(A0, A0), RET), references: pair(0, variable, addend) })
      .write();
  assert.deepEqual(verdict(reader('one'), reader('.data.one')), []);
  assert.deepEqual(verdict(reader('one'), reader('two')), ['changed f']);
  assert.deepEqual(verdict(reader('one'), reader('one', 4)), ['changed f']);
  const initial = new ObjectWriter().variable('one', words(1)).write();
  assert.equal(verdict(initial, new ObjectWriter().variable('one', words(2)).write()), 'diff-data-changed');
});

test('loongarch64: marks for relaxation relocate nothing', () => {
  const relaxed = (value: number): Uint8Array =>
    new ObjectWriter()
      .variable('one', words(1))
      .function('f', {
        bytes: words(pcala(A0), addiD(A0, A0, 0), addiW(A1, 0, value), NOP, BL, RET),
        references: [
          [0, R_LARCH.PCALA_HI20, 'one'],
          [0, R_LARCH.RELAX, ''],
          [4, R_LARCH.PCALA_LO12, 'one'],
          [4, R_LARCH.RELAX, ''],
          [12, R_LARCH.ALIGN, '', 12],
          [16, R_LARCH.B26, 'use2'],
        ],
      })
      .write();
  assert.deepEqual(verdict(relaxed(1), relaxed(1)), []);
  assert.deepEqual(verdict(relaxed(1), relaxed(2)), ['changed f']);
  const result = diff(relaxed(1), relaxed(2), optionsFor(relaxed(1)));
  const text = readObject(intermediateObject(result.patch()), 'out.o').sections.find(({ name }) => name === '.text.f');
  assert.equal(text!.relocations.filter(({ type }) => type === R_LARCH.RELAX).length, 2);
});

test('loongarch64: a function without a place for ftrace', () => {
  const notrace = (value: number): Uint8Array =>
    new ObjectWriter().function('f', plain(value), { traced: false }).write();
  assert.equal(verdict(notrace(1), notrace(2)), 'diff-no-trace');
});

/** f and g with a jump label each; distances as two relocations, as the assembler writes them where it relaxes. */
function labels(key: string, order: readonly string[], value = 1, target = 12): Uint8Array {
  const writer = new ObjectWriter().variable('one', words(0, 0)).variable('two', words(0, 0));
  for (const name of ['f', 'g'])
    writer.function(name, { bytes: words(addiW(A0, 0, name === 'f' ? value : 9), RET, RET, RET) });
  const references = order.flatMap((name, index): Reference[] => {
    const at = index * 16;
    return [
      [at, R_LARCH.ADD32, `.text.${name}`, 8],
      [at, R_LARCH.SUB32, '__jump_table', at],
      [at + 4, R_LARCH.ADD32, `.text.${name}`, 8 + (name === 'f' ? target : 12)],
      [at + 4, R_LARCH.SUB32, '__jump_table', at + 4],
      [at + 8, 51, name === 'f' ? key : 'one'],
      [at + 8, 56, '__jump_table', at + 8],
    ];
  });
  writer.section(
    '__jump_table',
    { bytes: new Uint8Array(16 * order.length), references },
    { flags: SHF.ALLOC | SHF.WRITE },
  );
  return writer.write();
}

test('loongarch64: jump labels whose distances are made of two relocations', () => {
  const original = labels('one', ['f', 'g']);
  assert.deepEqual(verdict(original, labels('one', ['g', 'f'])), []);
  assert.deepEqual(verdict(original, labels('two', ['f', 'g'])), ['changed f']);
  assert.deepEqual(verdict(original, labels('one', ['f', 'g'], 1, 8)), ['changed f']);
  assert.deepEqual(verdict(original, labels('one', ['f'])), ['changed g']);
});

test('loongarch64: the entry that travels counts from its new place', () => {
  const original = labels('one', ['g', 'f']);
  const result = diff(original, labels('one', ['g', 'f'], 2), optionsFor(original));
  assert.deepEqual(functionsOf(result), ['changed f']);
  const output = readObject(intermediateObject(result.patch()), 'out.o');
  const table = output.sections.find(({ name }) => name === '__jump_table')!;
  assert.equal(table.data.length, 16);
  const minus = table.relocations.filter(({ type }) => type === R_LARCH.SUB32 || type === 56);
  assert.deepEqual(
    minus.map(({ offset, symbol, addend }) => [offset, symbol?.section === table, addend]),
    [
      [0, true, 0],
      [4, true, 4],
      [8, true, 8],
    ],
  );
});

/** f with an alternative, an exception and a WARN; the replacement is after the function. */
function tables(options: {
  line?: number;
  flags?: number;
  replacement?: number;
  fixup?: number;
  feature?: number;
}): Uint8Array {
  const { line = 10, flags = 1, replacement = 1, fixup = 20, feature = 3 } = options;
  const writer = new ObjectWriter().strings('.rodata.str', 'a.c');
  const body = words(NOP, BREAK, ldW(A0, A0), RET, addiW(A0, 0, 5), RET, addiW(A1, 0, replacement));
  writer.function('f', { bytes: body });
  const text = (at: number): number => at + 8;
  const relative = R_LARCH['32_PCREL'];
  writer.section('.altinstructions', {
    bytes: fields([0, 4], [0, 4], [feature, 2], [4, 1], [4, 1]),
    references: [
      [0, relative, '.text.f', text(0)],
      [4, relative, '.text.f', text(24)],
    ],
  });
  writer.section(
    '__bug_table',
    {
      bytes: fields([0, 4], [0, 4], [line, 2], [flags, 2]),
      references: [
        [0, relative, '.text.f', text(4)],
        [4, relative, '.rodata.str'],
      ],
    },
    { flags: SHF.ALLOC | SHF.WRITE },
  );
  writer.section('__ex_table', {
    bytes: fields([0, 4], [0, 4], [2, 2], [0, 2]),
    references: [
      [0, relative, '.text.f', text(8)],
      [4, relative, '.text.f', text(fixup)],
    ],
  });
  return writer.write();
}

test('loongarch64: alternatives, exceptions, bug entries', () => {
  const kernel = { major: 6, minor: 6, config: () => undefined };
  const original = tables({});
  const told = (options: Parameters<typeof tables>[0]): string[] | string =>
    verdict(original, tables(options), { kernel });
  assert.deepEqual(told({}), []);
  assert.deepEqual(told({ line: 14 }), []);
  assert.deepEqual(told({ flags: 3 }), ['changed f']);
  assert.deepEqual(told({ replacement: 2 }), ['changed f']);
  assert.deepEqual(told({ feature: 4 }), ['changed f']);
  assert.deepEqual(told({ fixup: 16 }), ['changed f']);
  assert.deepEqual(verdict(original, tables({ line: 14 }), { kernel, keepLineChanges: true }), ['changed f']);
});

test('loongarch64: a loaded section that no rule knows', () => {
  const unknown = (value: number): Uint8Array => {
    const writer = new ObjectWriter().function('f', plain(value));
    writer.section('.table_of_mine', { bytes: new Uint8Array(8), references: [[0, R_LARCH[64], '.text.f']] });
    return writer.write();
  };
  assert.equal(verdict(unknown(1), unknown(2)), 'diff-section-unknown');
});

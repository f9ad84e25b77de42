/** The corpus: each case compiled for each target that it is about, and the differ's verdict on the pair. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { type TemporaryFolder, temporaryFolder } from '../../../src/util/files.ts';
import { type Case, patchedOf } from './case.ts';
import { codeCases } from './code-cases.ts';
import { Objects } from './compile.ts';
import { dataCases } from './data-cases.ts';
import { lineCases } from './line-cases.ts';
import { tableCases } from './table-cases.ts';
import { targets } from './targets.ts';
import { checkCase } from './verdict.ts';

const cases: readonly Case[] = [...codeCases, ...dataCases, ...lineCases, ...tableCases];
const objects = new Objects();

/**
 * One target of each architecture gets every case; each of the others gets every fourth.
 * The long form compiles everything for everything.
 */
const everything = process.env.KPATCH_SOAK !== undefined;
const main = new Set([1, 4, 6, 7, 10].map((index) => targets[index]!));
const pairs = cases.flatMap((one, number) =>
  targets
    .filter(
      (target, index) => (one.on?.(target) ?? true) && (everything || main.has(target) || (number + index) % 4 === 0),
    )
    .map((target) => ({ one, target })),
);

describe('corpus', () => {
  let folder: TemporaryFolder;
  before(async () => {
    folder = temporaryFolder('kpatch-corpus-');
    const jobs = pairs.flatMap(({ one, target }) =>
      [one.before, patchedOf(one)].map((source) => ({ target, source, flags: one.flags ?? [] })),
    );
    await objects.compile(folder.path, jobs);
    folder[Symbol.dispose]();
  });

  test('at least 150 pairs, every target many times', () => {
    assert.ok(pairs.length >= 150, `${pairs.length} pairs`);
    for (const target of targets) assert.ok(pairs.filter((pair) => pair.target === target).length >= 30, target.name);
    assert.equal(new Set(cases.map(({ name }) => name)).size, cases.length);
  });

  for (const { one, target } of pairs) {
    test(`${target.name}: ${one.name}`, () => {
      const [original, patched] = [one.before, patchedOf(one)].map((source) =>
        objects.objectOf({ target, source, flags: one.flags ?? [] }),
      );
      checkCase(one, target, original!, patched!);
    });
  }
});

/**
 * The corpus: each case compiled for targets that it is about, and the differ's verdict on the pair. A run takes every case for
 * x86-64, every rule on every architecture, and more by a seed that it prints (`KPATCH_SEED=N` repeats it); `KPATCH_SOAK=1` takes all.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { type TemporaryFolder, temporaryFolder } from '#kpatch/base/files.ts';
import { patchedOf } from './case.ts';
import { Objects } from './compile.ts';
import { cases, pairsOf } from './pairs.ts';
import { drawn, missing, rulesDocument } from './rules.ts';
import { targets } from './targets.ts';
import { checkCase } from './verdict.ts';

const objects = new Objects();
const soak = process.env.KPATCH_SOAK !== undefined;
const seed = Number(process.env.KPATCH_SEED ?? randomInt(1_000_000));
const pairs = soak ? pairsOf(true) : drawn(seed);

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

  test('every case, and every target many times', (t) => {
    t.diagnostic(`${pairs.length} pairs, KPATCH_SEED=${seed}`);
    for (const one of cases)
      assert.ok(
        pairs.some((pair) => pair.one === one),
        one.name,
      );
    for (const target of targets) assert.ok(pairs.filter((pair) => pair.target === target).length >= 3, target.name);
    assert.equal(new Set(cases.map(({ name }) => name)).size, cases.length);
  });

  test('each rule is shown on each architecture where it exists, and the table says so', () => {
    assert.deepEqual(missing(), []);
    const document = readFileSync(join(import.meta.dirname, '../../../../../docs/differ-rules.md'), 'utf8');
    assert.equal(document, rulesDocument(), "docs/differ-rules.md is out of date: run 'make docs'");
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

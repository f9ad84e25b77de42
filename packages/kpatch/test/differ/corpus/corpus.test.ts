/** The corpus: each case compiled for each target that it is about, and the differ's verdict on the pair. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { type TemporaryFolder, temporaryFolder } from '#kpatch/base/files.ts';
import { patchedOf } from './case.ts';
import { Objects } from './compile.ts';
import { cases, pairsOf } from './pairs.ts';
import { missing, rulesDocument } from './rules.ts';
import { targets } from './targets.ts';
import { checkCase } from './verdict.ts';

const objects = new Objects();
const pairs = pairsOf(process.env.KPATCH_SOAK !== undefined);

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

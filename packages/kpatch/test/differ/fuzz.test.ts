/** The short form of `make fuzz`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from './fuzz.ts';
import { fuzzBases, largeBase } from './fuzz-bases.ts';
import { peakOf } from './memory.ts';

test('2,000 mutated objects: a result or an error of the catalogue with an offset, quickly, in little memory', () => {
  const bases = fuzzBases();
  const report = fuzz(bases, 2000, 20261124);
  assert.equal(report.runs, 2000);
  assert.ok(report.errors > 200 && report.unchanged > 50 && report.changed > 50, JSON.stringify(report));
});

test('mutated objects of over 2 MB: memory is bound by the input', () => {
  const large = largeBase();
  assert.ok(large.length > 2 << 20);
  assert.equal(fuzz([large], 10, 20261125).runs, 10);
});

test('what a piece of work had at once is seen, also when it is free again', () => {
  const { result, grown } = peakOf(() => new Uint8Array(100 << 20).fill(1).length);
  assert.equal(result, 100 << 20);
  assert.ok(grown > 90 << 20, `${grown}`);
});

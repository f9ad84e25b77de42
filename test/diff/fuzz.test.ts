/** The short form of `make fuzz`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile, gcc, gccPadded, optionsFor, prelude } from './fixture.ts';
import { fuzz } from './fuzz.ts';
import { sampleSource } from './sample.ts';

test('2,000 mutated objects: a result or an error of the catalogue with an offset, quickly, in little memory', () => {
  const bases = [gcc, gccPadded].map((toolchain) => compile(toolchain, prelude + sampleSource(), ['-g']));
  const report = fuzz(bases, optionsFor(bases[0]!), 2000, 20261124);
  assert.equal(report.runs, 2000);
  assert.ok(report.errors > 200 && report.unchanged > 50 && report.changed > 50, JSON.stringify(report));
});

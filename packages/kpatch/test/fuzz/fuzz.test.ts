/**
 * Coverage-guided fuzzing of every parser of data from outside. `make test` runs each for a fraction of a second, `make soak` for minutes. A finding names
 * target and seed: `KPATCH_FUZZ_SEED=SEED node --test packages/kpatch/test/fuzz/fuzz.test.ts` repeats it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { binaryTargets } from './binary-targets.ts';
import { Coverage } from './coverage.ts';
import { documentTargets } from './document-targets.ts';
import { fuzz } from './driver.ts';
import { textTargets } from './text-targets.ts';
import { trustTargets } from './trust-targets.ts';

const targets = [...binaryTargets, ...textTargets, ...documentTargets, ...trustTargets];
const seed = Number(process.env.KPATCH_FUZZ_SEED ?? Date.now() % 1_000_000_007);
/** All targets together take 8 s of processor time, or in `make soak` two hours. */
const milliseconds = (process.env.KPATCH_SOAK === '1' ? 7_200_000 : 8_000) / targets.length;

for (const target of targets) {
  test(`${target.name} (seed ${seed})`, async (context) => {
    using coverage = new Coverage();
    const { runs, kept, features } = await fuzz(target, seed, milliseconds, coverage);
    context.diagnostic(`${runs} runs, ${kept} inputs kept, ${features} features`);
    assert.ok(runs > target.seeds().length && features > 0, 'it ran and was measured');
  });
}

/**
 * No parser takes time that grows with the square of its input. An input of n bytes and one of 4n are read, and the work is counted as the number of times that
 * blocks of code run, which does not depend on the machine. Work inside of regular expressions is not counted there, so the processor time of the
 * longer input has a limit too.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { binaryTargets } from './binary-targets.ts';
import { Coverage } from './coverage.ts';
import { documentTargets } from './document-targets.ts';
import type { Target } from './driver.ts';
import { textTargets } from './text-targets.ts';

const SHORT = 1 << 16;
/** Four times the input may be sorted (n log n), and has constant parts; the square would be 16. */
const RATIO = 5.5;
/** Milliseconds of processor time for 256 KiB, also on a slow machine. The quadratic expressions that there once were took 20 s for a quarter of that. */
const LONGEST = 4000;

/** Inputs that are long in a way that hurts naive readers: one line, one field, many openings, no end. */
const hostile: readonly ((bytes: number) => string)[] = [
  (bytes) => ' '.repeat(bytes),
  (bytes) => 'a'.repeat(bytes),
  (bytes) => '\n'.repeat(bytes),
  (bytes) => `${' \t'.repeat(bytes >> 1)}x`,
  (bytes) => '(['.repeat(bytes >> 1),
  (bytes) => '--- a\n+++ b\n'.repeat(bytes / 12),
  (bytes) => '@@ -1 +1 @@\n'.repeat(bytes / 12),
  (bytes) => 'a:\n '.repeat(bytes >> 2),
  (bytes) => 'CVE-2026-'.repeat(bytes / 9),
  (bytes) => '\\\n'.repeat(bytes >> 1),
  (bytes) => '"'.repeat(bytes),
  (bytes) => '1.'.repeat(bytes >> 1),
  (bytes) => '\u001b[1;'.repeat(bytes / 4),
];

async function work({ read }: Target, input: Buffer, coverage: Coverage): Promise<{ steps: number; ms: number }> {
  coverage.take();
  const before = process.cpuUsage();
  try {
    await read(input);
  } catch (error) {
    if (!(error instanceof KpatchError)) throw error;
  }
  const { user } = process.cpuUsage(before);
  return { steps: coverage.take().steps, ms: user / 1000 };
}

for (const target of [...binaryTargets, ...textTargets, ...documentTargets]) {
  test(target.name, async () => {
    using coverage = new Coverage();
    const makers = [...(target.long === undefined ? [] : [target.long]), ...hostile];
    for (const [index, make] of makers.entries()) {
      const one = await work(target, Buffer.from(make(SHORT)), coverage);
      const four = await work(target, Buffer.from(make(4 * SHORT)), coverage);
      const ratio = four.steps / Math.max(one.steps, 500);
      assert.ok(ratio <= RATIO, `input ${index}: ${one.steps} steps for n, ${four.steps} for 4n`);
      assert.ok(four.ms <= LONGEST, `input ${index}: ${Math.round(one.ms)} ms for n, ${Math.round(four.ms)} ms for 4n`);
    }
  });
}

/**
 * How fast the differ is: 100 pairs of 3 KB to 1.2 MB (median 60 KB) in one process, the largest alone, the growth when the
 * size doubles, and one call of create-diff-object. Times are of the processor, so that other work does not disturb them.
 */

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { intermediateObject } from '#kpatch/compat/intermediate.ts';
import { diff } from '#kpatch/differ/diff.ts';
import type { DiffOptions } from '#kpatch/differ/options.ts';
import { targets } from '../packages/kpatch/test/differ/corpus/targets.ts';
import { compile, optionsFor } from '../packages/kpatch/test/differ/fixture.ts';
import { enlarge } from '../packages/kpatch/test/differ/large.ts';
import { sampleSource } from '../packages/kpatch/test/differ/sample.ts';

const row = (...cells: (string | number)[]): void => console.log(`| ${cells.join(' | ')} |`);
const compiled = (source: string): Uint8Array => compile(targets[0]!, `${targets[0]!.headers}\n${source}`);
const small = ['a', 'a + 1'].map((argument) => compiled(`int f(int a) { return use(${argument}); }`));
const samples = [sampleSource(), sampleSource(1)].map(compiled);

interface Pair {
  readonly original: Uint8Array;
  readonly patched: Uint8Array;
  readonly options: DiffOptions;
}

/** A pair of about that many bytes; the first of the repeated units differs. */
function pairOf(size: number): Pair {
  const copies = Math.round(size / samples[0]!.length);
  if (copies < 1) return { original: small[0]!, patched: small[1]!, options: optionsFor(small[0]!) };
  const [original, patched] = [enlarge(samples[0]!, copies), enlarge(samples[1]!, copies)];
  return { original, patched, options: optionsFor(original) };
}

function work({ original, patched, options }: Pair): number {
  const start = process.cpuUsage();
  const result = diff(original, patched, options);
  if (result.status === 'changed') intermediateObject(result.patch());
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

const size = (bytes: number): string => `${(bytes / 1024).toFixed(0)} KiB`;
const ms = (value: number): string => `${value.toFixed(0)} ms`;

console.log('## The differ\n');
row('what', 'figure', 'limit');
row('---', '---', '---');
// Sizes as of a real series: half below 60 KB, few large ones.
const sizes = Array.from(
  { length: 100 },
  (_, index) => 3_000 * 400 ** ((Math.log(20) / Math.log(400)) * 2 * (index / 99)),
);
sizes[99] = 1_200_000;
const pairs = sizes.map((bytes) => pairOf(Math.min(bytes, 1_200_000)));
const bytes = pairs.map(({ original }) => original.length).sort((a, b) => a - b);
work(pairs[50]!);
const total = pairs.reduce((sum, pair) => sum + work(pair), 0);
row(
  `100 pairs of ${size(bytes[0]!)} to ${size(bytes[99]!)}, median ${size(bytes[50]!)}`,
  ms(total),
  '1200 ms (0.1: 1900 ms)',
);
const best = (pair: Pair): number => Math.min(...[1, 2, 3, 4, 5, 6].map(() => work(pair)));
const largest = best(pairs[99]!);
row(`the largest alone (${size(pairs[99]!.original.length)})`, ms(largest), '150 ms');
const units = (copies: number): Pair => {
  const [original, patched] = [enlarge(samples[0]!, copies), enlarge(samples[1]!, copies)];
  return { original, patched, options: optionsFor(original) };
};
const [half, whole] = [best(units(100)), best(units(200))];
row('twice the size takes', `${(whole / half).toFixed(2)} times as long`, 'about 2');

using folder = temporaryFolder('kpatch-bench-');
const path = (name: string): string => join(folder.path, name);
writeFileSync(path('a.o'), small[0]!);
writeFileSync(path('b.o'), small[1]!);
writeFileSync(path('symtab'), execFileSync('readelf', ['-sW', path('a.o')]));
writeFileSync(path('symvers'), '0x12345678\tuse\tvmlinux\tEXPORT_SYMBOL\t\n');
const program = join(import.meta.dirname, '..', 'bin', 'create-diff-object');
const words = [path('a.o'), path('b.o'), 'vmlinux', path('symtab'), path('symvers'), 'kpatch_x', path('out.o')];
const times = [0, 1, 2, 3, 4].map(() => {
  const start = performance.now();
  execFileSync(program, words, { stdio: 'ignore' });
  return performance.now() - start;
});
row('create-diff-object on a small object, by the clock', ms(Math.min(...times)), '60 ms (0.1: 87 ms)');

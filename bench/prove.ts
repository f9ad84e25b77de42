/** How long a proof takes (issue: quick plan at most 15 s, full plan at most 4 min, three side by side at most 1.7 times one). */
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run, runOk } from '#kpatch/base/run.ts';

const root = join(import.meta.dirname, '..');
const kpatch = join(root, 'bin', 'kpatch');
using folder = temporaryFolder('kpatch-bench-');
const modules = [1, 2, 3].map((number) => join(folder.path, `bench${number}.ko`));
for (const [at, file] of modules.entries()) {
  const patch = join(root, 'examples', 'meminfo.patch');
  await runOk(kpatch, ['build', patch, '-n', `bench_meminfo_${at}`, '-o', file]);
}
const test = ['--test', join(root, 'examples', 'meminfo.test.sh'), '--no-proof'];

async function timed(name: string, args: readonly string[], limit: string): Promise<number> {
  const start = performance.now();
  const { status } = await run(kpatch, ['prove', ...args, ...test], { timeoutMs: 1_800_000 });
  const seconds = (performance.now() - start) / 1000;
  console.log(`| ${name} | ${seconds.toFixed(1)} s | ${limit} | ${status === 0 ? 'proven' : 'NOT PROVEN'} |`);
  return seconds;
}

console.log('\n| proof of a one-function patch | time | asked | verdict |\n|---|---|---|---|');
const one = await timed('quick plan', [modules[0]!], '15 s');
const three = await timed('quick plan, three side by side', modules, `${(1.7 * one).toFixed(1)} s`);
console.log(`| three against one | ${(three / one).toFixed(2)} times | 1.7 times | |`);
await timed('full plan', [modules[0]!, '--full'], '240 s');

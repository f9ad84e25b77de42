/** How long a proof takes, with kept guests and with each guest booted: quick plan at most 4 s, three side by side at most 1.9 times one, full plan at most 90 s. */
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run, runOk } from '#kpatch/base/run.ts';

const root = join(import.meta.dirname, '..');
const kpatch = join(root, 'bin', 'kpatch');
using folder = temporaryFolder('kpatch-bench-');
const modules = [1, 2, 3].map((number) => join(folder.path, `bench${number}.ko`));
const { stdout } = await runOk(kpatch, ['kernel', 'add', '--json']);
const { kernel } = JSON.parse(stdout.toString()) as { kernel: { release: string } };
for (const [at, file] of modules.entries()) {
  const patch = join(root, 'examples', 'meminfo.patch');
  await runOk(kpatch, ['build', patch, '-k', kernel.release, '-n', `bench_meminfo_${at}`, '-o', file]);
}
const test = ['--test', join(root, 'examples', 'meminfo.test.sh'), '--no-proof'];

async function timed(args: readonly string[]): Promise<{ seconds: number; verdict: string }> {
  const start = performance.now();
  const { status } = await run(kpatch, ['prove', ...args, ...test], { timeoutMs: 1_800_000 });
  return { seconds: (performance.now() - start) / 1000, verdict: status === 0 ? 'proven' : 'NOT PROVEN' };
}

async function compared(name: string, args: readonly string[], limit: string): Promise<number> {
  const cold = await timed([...args, '--cold']);
  const kept = await timed(args);
  const times = `${kept.seconds.toFixed(1)} s | ${cold.seconds.toFixed(1)} s`;
  console.log(`| ${name} | ${times} | ${limit} | ${kept.verdict}, ${cold.verdict} |`);
  return kept.seconds;
}

console.log('\n| proof of a one-function patch | kept guests | booted | asked | verdicts |\n|---|---|---|---|---|');
const one = await compared('quick plan', [modules[0]!], '4 s');
const three = await compared('quick plan, three side by side', modules, `${(1.9 * one).toFixed(1)} s`);
console.log(`| three against one | ${(three / one).toFixed(2)} times | | 1.9 times | |`);
await compared('full plan', [modules[0]!, '--full'], '90 s');

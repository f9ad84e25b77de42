/**
 * `node tools/review-corpus.ts --old RELEASE --new RELEASE`: how often `kpatch review` finds a hazard in real fixes. Each changed file of the
 * difference between two prepared kernels is one fix; a sample is drawn by a printed seed. Nothing is compiled. Prints each
 * hazard and the share of fixes with one.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { silentReporter } from '#kpatch/base/report.ts';
import { KernelFacts } from '#kpatch/prepare/facts.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { reviewFiles } from '#kpatch/review/patches.ts';
import { changedFiles, random } from './corpus/files.ts';

const { values } = parseArgs({
  options: {
    old: { type: 'string' },
    new: { type: 'string' },
    count: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
  },
});
const folders = [
  'block',
  'crypto',
  'drivers',
  'fs',
  'io_uring',
  'ipc',
  'kernel',
  'lib',
  'mm',
  'net',
  'security',
  'sound',
];

async function main(): Promise<void> {
  const report = silentReporter();
  const older = await prepareKernel(values.old, { report });
  const newer = await prepareKernel(values.new, { report });
  const objects = await new KernelFacts(older).objects();
  const trees = [older.paths.tree, newer.paths.tree] as const;
  const differ = await changedFiles(folders, ...trees);
  const files = differ.filter((file) => file.endsWith('.c') && objects.has(file.replace(/\.c$/, '.o')));
  const next = random(Number(values.seed));
  const wanted = Math.min(Number(values.count), files.length);
  console.log(
    `${older.release} to ${newer.release}: ${files.length} source files differ; ${wanted} are drawn with seed ${values.seed}`,
  );
  const kinds = new Map<string, number>();
  let flagged = 0;
  for (let drawn = 0; drawn < wanted; drawn++) {
    const [file] = files.splice(Math.floor(next() * files.length), 1);
    const [before, after] = trees.map((tree) => readFileSync(join(tree, file!), 'latin1'));
    const hazards = await reviewFiles([{ file: file!, before: before!, after: after! }], trees[0]);
    if (hazards.length > 0) flagged++;
    for (const kind of new Set(hazards.map((one) => one.kind))) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    for (const { kind, place, function: name, reason } of hazards) console.log(`${kind}  ${place}  ${name}: ${reason}`);
  }
  console.log('\n| kind | fixes |\n|---|---|');
  for (const [kind, number] of [...kinds].sort((a, b) => b[1] - a[1])) console.log(`| ${kind} | ${number} |`);
  console.log(`\n${flagged} of ${wanted} fixes have a hazard (${((100 * flagged) / wanted).toFixed(0)} of 100).`);
}

await main();

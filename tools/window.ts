/**
 * `node tools/window.ts --old RELEASE --new RELEASE --count N --seed S`: the changes between the sources of two prepared kernels, in the
 * groups that the factory makes of them, and how many can be live patched. A sample of the groups that reach the configuration of the older
 * kernel is built, each with what it needs; every class of refusal is counted. `--all` builds every group.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { build } from '#kpatch/builder/build.ts';
import { objectOf } from '#kpatch/kbuild/unit.ts';
import { KernelFacts } from '#kpatch/prepare/facts.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { type ChangeGroup, changesBetween, patchOf, withNeeds } from '../packages/factory/fixes/source-pair.ts';
import { random } from './corpus/files.ts';

const { values } = parseArgs({
  options: {
    old: { type: 'string', default: '6.1.0-47-amd64' },
    new: { type: 'string', default: '6.1.0-57-amd64' },
    count: { type: 'string', default: '50' },
    seed: { type: 'string', default: '1' },
    all: { type: 'boolean', default: false },
  },
});

/** Builds a group after what it needs; the code of the error that refuses it, or the number of functions. */
async function tryGroup(group: ChangeGroup, groups: readonly ChangeGroup[], release: string): Promise<string | number> {
  using folder = temporaryFolder('kpatch-window-');
  const patches = [...withNeeds(group.id, groups)]
    .sort((a, b) => a - b)
    .map((id) => {
      const file = join(folder.path, `${String(id).padStart(6, '0')}.patch`);
      writeFileSync(file, patchOf(groups[id]!, `Subject: group ${id}`));
      return file;
    });
  const settings = { cves: [], replace: true, skipCompilerCheck: false, keepLineChanges: false, name: 'window' };
  try {
    return (await build({ release, patches, ...settings }, silentReporter())).functions.length;
  } catch (error) {
    if (!(error instanceof KpatchError)) throw error;
    return error.code;
  }
}

async function main(): Promise<void> {
  const report = silentReporter();
  const [older, newer] = [await prepareKernel(values.old, { report }), await prepareKernel(values.new, { report })];
  const objects = await new KernelFacts(older).objects();
  const groups = await changesBetween(older.paths.tree, newer.paths.tree);
  const isBuilt = (file: string): boolean => file.endsWith('.c') && objects.has(objectOf(file));
  const reach = groups.filter(({ files }) => files.some(isBuilt));
  const headers = groups.filter(({ files }) => files.every((file) => file.endsWith('.h')));
  const sizes = groups.map(({ hunks }) => hunks.length).sort((a, b) => b - a);
  const hunks = sizes.reduce((sum, one) => sum + one, 0);
  console.log(
    `${older.sourceVersion} to ${newer.sourceVersion}: ${hunks} hunks in ${groups.length} groups, the largest of ${sizes[0]} hunks`,
  );
  console.log(
    `${reach.length} groups change a file that ${older.release} is compiled from, ${headers.length} only headers`,
  );
  const next = random(Number(values.seed));
  const sample = values.all ? reach : [];
  const rest = [...reach];
  while (!values.all && sample.length < Number(values.count) && rest.length > 0)
    sample.push(...rest.splice(Math.floor(next() * rest.length), 1));
  const outcomes = new Map<string, number>();
  const start = performance.now();
  for (const [at, group] of sample.entries()) {
    const result = await tryGroup(group, groups, older.release);
    const outcome = typeof result === 'number' ? 'built' : result;
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    console.log(
      `${at + 1}/${sample.length} ${outcome} ${typeof result === 'number' ? `(${result} functions) ` : ''}${group.files.join(' ').slice(0, 120)}`,
    );
  }
  const minutes = ((performance.now() - start) / 60_000).toFixed(1);
  console.log(`seed ${values.seed}: ${sample.length} groups in ${minutes} minutes`);
  for (const [outcome, count] of [...outcomes].sort((a, b) => b[1] - a[1]))
    console.log(`${String(count).padStart(6)} ${outcome}`);
}

await main();

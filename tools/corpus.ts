/**
 * `make corpus`: real fixes. The difference between the sources of two stock kernels, cut into fixes, a sample drawn by a
 * printed seed, each built for the older kernel; the modules then loaded into that kernel, one after the other, in one
 * guest. Prints the table that is in docs/corpus.md. Status 0 only if no fix failed.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { plural } from '#kpatch/base/errors/plural.ts';
import { renderError } from '#kpatch/base/errors/render.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { consoleReporter } from '#kpatch/base/report.ts';
import type { TargetKernel } from '#kpatch/kernel/target.ts';
import { KernelFacts } from '#kpatch/prepare/facts.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { buildFix, isCut, type Outcome } from './corpus/attempt.ts';
import { changedFiles } from './corpus/files.ts';
import { draw } from './corpus/fix.ts';
import { loadAll } from './corpus/load.ts';
import { SourceDifference } from './corpus/source-difference.ts';
import { lineOf, printTable } from './corpus/table.ts';
import { machineHere, type TriedKernel } from './documents/tried.ts';

const { values } = parseArgs({
  options: {
    old: { type: 'string' },
    new: { type: 'string' },
    count: { type: 'string', default: '150' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    'no-load': { type: 'boolean', default: false },
    'allow-expired': { type: 'boolean', default: false },
    mirror: { type: 'string' },
    record: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
});

/** Where kernels and compilers come from, if not from the mirror of this machine. */
const archive = {
  allowExpired: values['allow-expired'],
  ...(values.mirror === undefined ? {} : { mirror: values.mirror }),
};

const report = consoleReporter();
const code = ['arch/x86', 'block', 'certs', 'crypto', 'drivers', 'fs', 'include', 'init', 'io_uring', 'ipc', 'kernel'];
const folders = [...code, 'lib', 'mm', 'net', 'security', 'sound', 'virt'];

/** Adds the run to docs/kernels-tried.json, from which the table in docs/kernels.md is printed (`make docs`). */
function record(older: TargetKernel, newer: TargetKernel, rows: ReadonlyMap<string, number>): void {
  const file = join(import.meta.dirname, '..', 'docs/kernels-tried.json');
  const tried = JSON.parse(readFileSync(file, 'utf8')) as TriedKernel[];
  const own = `make corpus OLD=${older.release} NEW=${newer.release} COUNT=${values.count} SEED=${values.seed}`;
  const command = values['allow-expired'] ? `${own} ALLOW_EXPIRED=1` : own;
  const others = tried.filter((one) => one.command !== command);
  const entry: TriedKernel = {
    distribution: older.origin ?? older.distribution,
    kernel: older.release,
    machine: machineHere(),
    command,
    date: new Date().toISOString().slice(0, 10),
    fixes: Object.fromEntries(rows),
  };
  writeFileSync(file, `${JSON.stringify([...others, entry], null, 2)}\n`);
}

/** With --out: patch, outcome and module of each fix, to look at. */
function keep(name: string, { result, detail, build: built }: Outcome, patch: string): void {
  if (values.out === undefined) return;
  mkdirSync(values.out, { recursive: true });
  writeFileSync(join(values.out, `${name}.patch`), readFileSync(patch));
  writeFileSync(join(values.out, `${name}.txt`), `${result}\n${detail}\n`);
  if (built !== undefined) writeFileSync(join(values.out, `${name}.ko`), built.module);
}

/** Prepares a kernel, with the compiler of its own distribution release. Errors: as `prepareKernel`. */
function kernel(release: string | undefined): Promise<TargetKernel> {
  return report.stage(`kernel ${release ?? '(newest)'}`, () => prepareKernel(release, { report, ...archive }));
}

async function main(): Promise<boolean> {
  const older = await kernel(values.old);
  const newer = await kernel(values.new);
  const map = await new KernelFacts(older).objects();
  const files = await report.stage('compare the sources', () =>
    changedFiles(folders, older.paths.tree, newer.paths.tree),
  );
  const seed = Number(values.seed);
  const wanted = Number(values.count);
  console.log(
    `${older.release} (${older.sourceVersion}) to ${newer.release} (${newer.sourceVersion}): ${plural(files.length, 'file')} differ`,
  );
  console.log(`${wanted} fixes are drawn with seed ${seed}`);
  using folder = temporaryFolder('kpatch-corpus-');
  const difference = new SourceDifference(older, newer, files, archive);
  const outcomes: Outcome[] = [];
  let cuts = 0;
  for (const fix of draw(files, map, seed)) {
    if (outcomes.length === wanted) break;
    if (values.only !== undefined && !fix.name.includes(values.only)) continue;
    const index = outcomes.length;
    const outcome = await buildFix(fix, index, difference, folder.path);
    const patch = join(folder.path, `fix-${index}.patch`);
    if (isCut(outcome)) {
      keep(`cut-${++cuts}`, outcome, patch);
      continue;
    }
    outcomes.push(outcome);
    console.log(lineOf(index, outcome));
    keep(String(index), outcome, patch);
  }
  console.log(`${cuts} draws were passed over: alone they do not compile, so they are no fix by themselves`);
  const failures = values['no-load']
    ? new Map<Outcome, string>()
    : await report.stage('load every module', () => loadAll(report, older, outcomes));
  for (const [outcome, said] of failures) console.log(`\nFAILED ${outcome.fix.name}\n${said}`);
  for (const outcome of outcomes.filter(({ result }) => result === 'failed'))
    console.log(`\nFAILED ${outcome.fix.name}\n${outcome.detail}`);
  const rows = printTable(outcomes, failures, !values['no-load']);
  if (values.record) record(older, newer, rows);
  return rows.get('failed') === 0;
}

try {
  process.exitCode = (await main()) ? 0 : 1;
} catch (error) {
  // A kernel that cannot be fetched or prepared is an answer, not a crash.
  console.error(error instanceof KpatchError ? renderError(error) : `internal error: ${String(error)}`);
  process.exitCode = 1;
}

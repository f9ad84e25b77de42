/**
 * `make machines`: the whole way on every machine for which the project has a small kernel. The kernel is configured and built (once), a patch
 * of vmlinux and one of a module are built and proven in an emulated machine, and compiled functions are compared with the kernel.
 * Prints a table. Status 0 only if every patch is proven.
 *
 *     node tools/machines.ts [NAME...] [--units 40] [--full] [--allow-expired]
 */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { renderError } from '#kpatch/base/errors/render.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { consoleReporter } from '#kpatch/base/report.ts';
import { run } from '#kpatch/base/run.ts';
import type { Platform } from '#kpatch/platform/platform.ts';
import { platforms } from '#kpatch/platform/registry.ts';
import { prepareCustomKernel } from '#kpatch/prepare/kernel.ts';
import { sourcePatch } from '../packages/kpatch/test/source/source-patch.ts';
import { type BuiltKernel, smallKernel } from './machines/kernel.ts';
import { matchRate } from './machines/match-rate.ts';
import { type Trial, trials } from './machines/patches.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    units: { type: 'string', default: '40' },
    full: { type: 'boolean', default: false },
    'allow-expired': { type: 'boolean', default: false },
  },
});

const root = join(import.meta.dirname, '..');
const report = consoleReporter();

/** A proof that hangs must not hold up the other machines. */
const STEP_MS = 3_600_000;

interface Row {
  readonly machine: string;
  readonly kernel: string;
  readonly what: string;
  readonly outcome: string;
  readonly ms: number;
}

const rows: Row[] = [];

/** Runs a command of kpatch as a user would; its last line is the outcome where it fails. */
async function kpatch(kernel: BuiltKernel, what: string, args: readonly string[]): Promise<boolean> {
  const start = performance.now();
  const { status, stdout, stderr } = await report.stage(`${kernel.platform.naming.uname}: ${what}`, () =>
    run(join(root, 'bin', 'kpatch'), args, { timeoutMs: STEP_MS }),
  );
  const ms = performance.now() - start;
  const outcome = status === 0 ? 'done' : `failed (status ${status})`;
  rows.push({ machine: kernel.platform.naming.uname, kernel: kernel.release, what, outcome, ms });
  if (status !== 0) process.stdout.write(`${stdout.toString()}${stderr}\n`);
  return status === 0;
}

async function tryPatch(kernel: BuiltKernel, trial: Trial, folder: string): Promise<void> {
  const { image, headers, source, modules } = kernel.parts;
  const base = join(folder, `${kernel.platform.naming.uname.replaceAll('-', '_')}_${trial.title}`);
  const [patch, module, test] = [`${base}.patch`, `${base}.ko`, `${base}.sh`];
  writeFileSync(patch, sourcePatch(source, { [trial.file]: trial.edit }));
  writeFileSync(test, trial.test);
  chmodSync(test, 0o755);
  const parts = ['--image', image, '--headers', headers, '--source', source, '--modules', modules];
  if (!(await kpatch(kernel, `build a patch of ${trial.title}`, ['build', ...parts, '-o', module, patch]))) return;
  const plan = values.full ? ['--full'] : [];
  await kpatch(kernel, `prove it (${values.full ? 'full' : 'quick'} plan, cold)`, [
    'prove',
    ...plan,
    '--cold',
    '--no-resume',
    '--no-proof',
    '--test',
    test,
    module,
  ]);
}

async function tryMachine(platform: Platform): Promise<void> {
  const { uname } = platform.naming;
  const kernel = await smallKernel(platform, { report, allowExpired: values['allow-expired'] });
  if (kernel === undefined) throw new Error(`${uname}: platform/*/small-kernel.ts describes no kernel for it`);
  rows.push({ machine: uname, kernel: kernel.release, what: 'kernel', outcome: 'built', ms: kernel.ms });
  using folder = temporaryFolder('kpatch-machines-');
  const target = await prepareCustomKernel(kernel.parts, { report });
  for (const trial of trials) await tryPatch(kernel, trial, folder.path);
  const start = performance.now();
  const drawing = { units: Number(values.units), seed: 1, report };
  const rate = await matchRate(target, drawing);
  process.stdout.write(`${rate.text()}\n`);
  const what = `run-pre match of ${rate.units} units`;
  const outcome = `${rate.matched} of ${rate.functions} functions`;
  rows.push({ machine: uname, kernel: kernel.release, what, outcome, ms: performance.now() - start });
}

const wanted = platforms().filter(({ naming, smallKernel: small }) =>
  positionals.length === 0 ? small !== undefined : positionals.includes(naming.uname),
);
let failed = positionals.length > wanted.length;
for (const platform of wanted) {
  try {
    await tryMachine(platform);
  } catch (error) {
    process.stderr.write(`${error instanceof KpatchError ? renderError(error) : String(error)}\n`);
    failed = true;
  }
}
const line = (...cells: string[]): string =>
  cells
    .map((cell, index) => cell.padEnd([10, 18, 32, 28][index] ?? 0))
    .join(' ')
    .trimEnd();
process.stdout.write(`\n${line('machine', 'kernel', 'step', 'outcome', 'seconds')}\n`);
for (const { machine, kernel, what, outcome, ms } of rows) {
  process.stdout.write(`${line(machine, kernel, what, outcome, (ms / 1000).toFixed(1).padStart(7))}\n`);
  failed ||= outcome.startsWith('failed');
}
process.exitCode = failed ? 1 : 0;

/**
 * `node tools/refused.ts --old RELEASE --new RELEASE --folder FOLDER`: fixes that a build refuses, and what `kpatch build --rewrite`, `kpatch
 * prove` and the review make of them. Fixes are drawn by a printed seed from the difference between two prepared kernels, as `make
 * corpus` draws them, until `--wanted` are refused or `--draws` are tried. What came of each is kept in the folder, so that an interrupted
 * run goes on where it was, and runs with other seeds into the same folder are counted together. Prints the tables that are in
 * docs/corpus.md.
 *
 * `--screen` passes over fixes that only change bodies of ordinary functions, which are hardly ever refused: then only refused
 * fixes are counted. `--only NAME,NAME` takes only draws of these names, such as those that an earlier run refused. `--again` rewrites once more what was not proven. `--no-prove` builds only. `--table` prints what the folder has.
 */
import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { silentReporter } from '#kpatch/base/report.ts';
import { KernelFacts } from '#kpatch/prepare/facts.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { buildFix, isCut } from './corpus/attempt.ts';
import { changedFiles } from './corpus/files.ts';
import { draw } from './corpus/fix.ts';
import { SourceDifference } from './corpus/source-difference.ts';
import { mayBeRefused } from './refused/screen.ts';
import { keep, known, type TriedFix } from './refused/store.ts';
import { printTables } from './refused/table.ts';
import { isRefused, proveRewritten, reviewOf, rewriteFix } from './refused/try.ts';

const { values } = parseArgs({
  options: {
    old: { type: 'string', default: '6.1.0-47-amd64' },
    new: { type: 'string', default: '6.1.0-57-amd64' },
    seed: { type: 'string', default: '1' },
    wanted: { type: 'string', default: '40' },
    draws: { type: 'string', default: '100000' },
    folder: { type: 'string', default: 'refused' },
    screen: { type: 'boolean', default: false },
    only: { type: 'string' },
    again: { type: 'boolean', default: false },
    'no-prove': { type: 'boolean', default: false },
    table: { type: 'boolean', default: false },
  },
});

const code = ['arch/x86', 'block', 'certs', 'crypto', 'drivers', 'fs', 'include', 'init', 'io_uring', 'ipc', 'kernel'];
const folders = [...code, 'lib', 'mm', 'net', 'security', 'sound', 'virt'];

/** Tries one fix as far as it has not been tried, and keeps what came of it. */
async function follow(fix: TriedFix, folder: string, difference: SourceDifference): Promise<TriedFix> {
  let now = fix;
  const step = (more: Partial<TriedFix>): void => {
    now = { ...now, ...more };
    keep(folder, now);
  };
  if (!isRefused(now)) return now;
  if (now.hazards === undefined) step({ hazards: await reviewOf(now, difference) });
  if (now.rewrite === undefined || (values.again && now.proof?.verdict === undefined))
    step({ rewrite: await rewriteFix(folder, now), proof: undefined });
  if (now.rewrite?.result === 'built' && now.proof === undefined && !values['no-prove'])
    step({ proof: await proveRewritten(folder, now) });
  return now;
}

async function collect(folder: string): Promise<void> {
  const report = silentReporter();
  const older = await prepareKernel(values.old, { report });
  const newer = await prepareKernel(values.new, { report });
  const files = await changedFiles(folders, older.paths.tree, newer.paths.tree);
  const difference = new SourceDifference(older, newer, files, { allowExpired: false });
  const map = await new KernelFacts(older).objects();
  const tried = new Map(known(folder).map((one) => [one.id, one]));
  const only = values.only === undefined ? undefined : new Set(values.only.split(','));
  let refused = 0;
  let draws = 0;
  for (const fix of draw(files, map, Number(values.seed))) {
    if (refused >= Number(values.wanted) || draws >= Number(values.draws)) break;
    if (only !== undefined && only.size === 0) break;
    if (only?.delete(fix.name) === false) continue;
    if (values.screen && !mayBeRefused(fix, older.paths.tree, newer.paths.tree)) continue;
    draws++;
    const way = only !== undefined ? 'o' : values.screen ? 's' : '';
    const id = `${values.seed}${way}-${String(draws).padStart(3, '0')}`;
    let one = tried.get(id);
    if (one === undefined) {
      const outcome = await buildFix(fix, draws, difference, folder);
      const patch = (await Promise.all(outcome.fix.files.map((path) => difference.patch(path)))).join('');
      const kind = isCut(outcome) ? 'cut' : outcome.result;
      const sources = { old: older.sourceVersion ?? '', new: newer.sourceVersion ?? '' };
      const release = older.release;
      const { name, files: own } = outcome.fix;
      one = { id, name, files: own, release, sources, result: kind, detail: outcome.detail, screened: way !== '' };
      keep(folder, one, patch);
    }
    one = await follow(one, folder, difference);
    if (isRefused(one)) refused++;
    const after = one.rewrite === undefined ? '' : `-> ${one.rewrite.result} ${one.proof?.verdict ?? ''}`;
    console.log(`${id} ${one.result.padEnd(22)} ${one.name} ${after}`);
  }
}

const folder = resolve(values.folder);
mkdirSync(folder, { recursive: true });
if (!values.table) await collect(folder);
printTables(known(folder));

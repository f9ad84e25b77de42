/**
 * `make corpus`: real fixes. The difference between the sources of two stock kernels, cut into fixes, a sample drawn by a
 * printed seed, each built for the older kernel; the modules then loaded into that kernel, one after the other, in one
 * guest. Prints the table that is in docs/corpus.md. Status 0 only if no fix failed.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { plural } from '#kpatch/base/errors/plural.ts';
import { renderError } from '#kpatch/base/errors/render.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { consoleReporter, silentReporter } from '#kpatch/base/report.ts';
import { run } from '#kpatch/base/run.ts';
import { type BuildResult, build } from '#kpatch/builder/build.ts';
import type { ObjectMap } from '#kpatch/kbuild/object-map.ts';
import type { TargetKernel } from '#kpatch/kernel/target.ts';
import { KernelFacts } from '#kpatch/prepare/facts.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { boot, type Guest } from '#kpatch/vm/guest.ts';
import type { GuestFile } from '#kpatch/vm/initramfs.ts';
import { changedFiles, random } from './corpus-files.ts';
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

/** A fix: one or several files of the difference, as one patch. */
interface Fix {
  readonly name: string;
  readonly kind: 'source file' | 'header' | 'several files';
  readonly files: readonly string[];
}

interface Outcome {
  readonly fix: Fix;
  /** `built`, or the code of the error that ended it. */
  readonly result: string;
  readonly ms: number;
  readonly detail: string;
  readonly build?: BuildResult;
}

/** Draws fixes: mostly single source files, some headers, some of all that changed in one folder. */
function* draw(files: readonly string[], map: ObjectMap, seed: number): Generator<Fix> {
  const next = random(seed);
  const sources = files.filter((file) => file.endsWith('.c') && map.has(file.replace(/\.c$/, '.o')));
  const headers = files.filter((file) => file.endsWith('.h') && !file.startsWith('include/uapi'));
  const byFolder = new Map<string, string[]>();
  for (const file of files) byFolder.set(dirname(file), [...(byFolder.get(dirname(file)) ?? []), file]);
  const groups = [...byFolder.values()].filter(({ length }) => length > 1 && length <= 6);
  const take = <T>(list: T[]): T | undefined => list.splice(Math.floor(next() * list.length), 1)[0];
  const pools = { sources: [...sources], headers: [...headers], groups: [...groups] };
  while (pools.sources.length > 0) {
    const choice = next();
    const group = choice < 0.06 ? take(pools.groups) : undefined;
    const header = choice >= 0.06 && choice < 0.1 ? take(pools.headers) : undefined;
    const source = choice >= 0.1 ? take(pools.sources) : undefined;
    if (group !== undefined) yield { name: `${dirname(group[0]!)}/`, kind: 'several files', files: group };
    else if (header !== undefined) yield { name: header, kind: 'header', files: [header] };
    else if (source !== undefined) yield { name: source, kind: 'source file', files: [source] };
  }
}

/**
 * Builds a fix. A single file that does not compile alone is not a fix; of headers and several files, what the cut misses
 * of the whole difference is added, and it is tried again.
 */
async function buildFix(fix: Fix, index: number, source: Difference, folder: string): Promise<Outcome> {
  const start = performance.now();
  let current = fix;
  let outcome = await attempt(current, index, source, folder);
  for (let round = 0; round < 4 && isCut(outcome) && fix.kind !== 'source file'; round++) {
    const more = await source.missing(outcome.detail, current.files);
    if (more.length === 0 || current.files.length + more.length > 12) break;
    current = { name: fix.name, kind: 'several files', files: [...current.files, ...more].sort() };
    outcome = await attempt(current, index, source, folder);
  }
  // The person decides about parts that run only when a module comes or goes; here it is the one who left them in the
  // patch.
  if (outcome.result === 'diff-init-changed') {
    const without = await attempt(current, index, source, folder, true);
    if (without.result === 'built') outcome = { ...without, result: leftOut };
    else if (without.result === 'no-change') outcome = without;
  }
  return { ...outcome, fix: current, ms: performance.now() - start };
}

/** The result of a fix whose changed init or exit part was left out, which the user has to ask for. */
const leftOut = 'built with --leave-out-init';

/**
 * True if the fix was cut so that a part is missing: it does not compile, what it calls is defined in another file, or it only adds
 * functions that another file calls.
 */
function isCut({ result, detail }: Outcome): boolean {
  if (result === 'compile-failed' || result === 'symbols-unresolved') return true;
  const reasons = detail.split('\n').filter((line) => line.startsWith('  | '));
  if (result !== 'nothing-patchable' && result !== 'diff-left-out') return false;
  // A function or an export that only other files use.
  return reasons.length > 0 && reasons.every((line) => /it is new, and nothing|the export of \w+ is new/.test(line));
}

async function attempt(
  fix: Fix,
  index: number,
  source: Difference,
  folder: string,
  leaveOutInit = false,
): Promise<Outcome> {
  const file = join(folder, `fix-${index}.patch`);
  writeFileSync(file, (await Promise.all(fix.files.map((path) => source.patch(path)))).join(''));
  const ended = (result: string, detail: string, built?: BuildResult): Outcome => {
    return { fix, result, ms: 0, detail, ...(built === undefined ? {} : { build: built }) };
  };
  const quiet = silentReporter();
  try {
    const built = await build(
      {
        patches: [file],
        release: source.older.release,
        kernelSource: archive,
        name: `corpus_${index}`,
        version: 1,
        cves: [],
        replace: true,
        skipCompilerCheck: false,
        keepLineChanges: false,
        leaveOutInit,
      },
      quiet,
    );
    for (const warning of quiet.warnings) if (warning.includes('prepared again')) report.warn(warning);
    return ended('built', built.functions.map(({ name }) => name).join(' '), built);
  } catch (error) {
    if (!(error instanceof KpatchError))
      return ended('failed', error instanceof Error ? (error.stack ?? '') : String(error));
    return ended(error.code === 'internal' ? 'failed' : error.code, renderError(error));
  }
}

/** The difference between the two sources, file by file. */
class Difference {
  readonly older: TargetKernel;
  readonly newer: TargetKernel;
  readonly files: readonly string[];
  readonly #patches = new Map<string, Promise<string>>();

  constructor(older: TargetKernel, newer: TargetKernel, files: readonly string[]) {
    this.older = older;
    this.newer = newer;
    this.files = files;
  }

  patch(file: string): Promise<string> {
    const labels = ['--label', `a/${file}`, '--label', `b/${file}`];
    const [older, newer] = [join(this.older.paths.tree, file), join(this.newer.paths.tree, file)];
    const known =
      this.#patches.get(file) ?? run('diff', ['-u', ...labels, older, newer]).then(({ stdout }) => stdout.toString());
    this.#patches.set(file, known);
    return known;
  }

  /** Further changed files that add or remove what a compiler or the build says is missing: headers first, else sources. */
  async missing(complaint: string, have: readonly string[]): Promise<string[]> {
    const quoted = [...complaint.matchAll(/(?:error|note): .*?'(?:struct |union |enum )?(\w+)['(]/g)].map(
      ([, name]) => name!,
    );
    const named = [
      ...complaint.matchAll(/(?:member named|declaration of function|conflicting types for|to function) '(\w+)'/g),
    ];
    const needed = [...complaint.matchAll(/\S+\.o needs (\w+)/g)];
    const names = new Set([...quoted, ...[...named, ...needed].map(([, name]) => name!)]);
    const near = new Set(have.map((file) => dirname(file)));
    const reachable = (file: string): boolean =>
      near.has(dirname(file)) || /^(include|arch\/x86\/include)\//.test(file);
    for (const suffix of ['.h', '.c']) {
      const found: string[] = [];
      for (const file of this.files.filter(
        (path) => path.endsWith(suffix) && reachable(path) && !have.includes(path),
      )) {
        const changed = (await this.patch(file)).split('\n').filter((line) => /^[+-][^+-]/.test(line));
        if ([...names].some((name) => changed.some((line) => new RegExp(`\\b${name}\\b`).test(line)))) found.push(file);
      }
      if (found.length > 0) return found;
    }
    return [];
  }
}

/** Loads each module, waits for its transition, takes it out again; what it says when something is not as it should be. */
async function tryModule(guest: Guest, name: string, objects: readonly string[]): Promise<string> {
  const modules = objects.filter((object) => object !== 'vmlinux');
  const path = `/sys/kernel/livepatch/${name}`;
  const { output } = await guest.run(
    `${modules.map((module) => `modprobe ${module} 2>/dev/null || echo "(${module} does not load here)"`).join('\n')}
dmesg -c >/dev/null
insmod /corpus/${name}.ko || { echo FAILED insmod; dmesg | tail -5; exit; }
n=0; while [ "$(cat ${path}/transition)" != 0 ] && [ $n -lt 120 ]; do sleep 0.25; n=$((n+1)); done
[ "$(cat ${path}/transition)" = 0 ] && [ "$(cat ${path}/enabled)" = 1 ] || echo FAILED transition
echo 0 > ${path}/enabled || echo FAILED disable
n=0; while [ -d ${path} ] && [ $n -lt 120 ]; do sleep 0.25; n=$((n+1)); done
rmmod ${name} || echo FAILED rmmod
dmesg | grep -E 'WARNING|BUG|Oops|Unpatched|Call Trace|refcount|livepatch:.*(failed|error)' && { echo FAILED log; dmesg | tail -40; }
true`,
    { step: `load ${name}`, deadlineMs: 180_000 },
  );
  return output.includes('FAILED') ? output : '';
}

/** Emulated processors can trip over the kernel's own patching of its code while it boots, before any module is there. */
async function bootStock(
  { paths }: TargetKernel,
  files: Readonly<Record<string, GuestFile>>,
  modules: readonly string[],
): Promise<Guest> {
  for (let attempt = 1; ; attempt++) {
    try {
      const more = paths.modules === undefined ? {} : { modules: { folder: paths.modules, optional: modules } };
      return await boot({ image: paths.image, files, memoryMiB: 2048, cpus: 1, ...more });
    } catch (error) {
      if (attempt === 3 || !(error instanceof KpatchError)) throw error;
      report.warn(`the kernel did not boot, with no module loaded (attempt ${attempt}): ${error.message}`);
    }
  }
}

async function loadAll(kernel: TargetKernel, outcomes: readonly Outcome[]): Promise<Map<Outcome, string>> {
  const built = outcomes.filter((outcome) => outcome.build !== undefined);
  const failures = new Map<Outcome, string>();
  const fails = (outcome: Outcome, said: string): void => {
    failures.set(outcome, said);
    report.warn(`${outcome.build!.name} (${outcome.fix.name}) failed:\n${said}`);
  };
  let rest = built;
  while (rest.length > 0) {
    const files: Record<string, GuestFile> = {};
    for (const { build: result } of rest) files[`/corpus/${result!.name}.ko`] = result!.module;
    const objects = [...new Set(rest.flatMap(({ build: result }) => result!.functions.map(({ object }) => object)))];
    const names = objects.filter((object) => object !== 'vmlinux');
    const guest = await bootStock(kernel, files, names);
    let done = 0;
    try {
      for (const outcome of rest) {
        const { name, functions } = outcome.build!;
        report.note(`load ${name} (${outcome.fix.name})`);
        const said = await tryModule(guest, name, [...new Set(functions.map(({ object }) => object))]);
        if (said !== '') fails(outcome, said);
        done++;
      }
    } catch (error) {
      fails(rest[done]!, error instanceof KpatchError ? renderError(error) : String(error));
      done++;
    } finally {
      await guest.stop();
    }
    rest = rest.slice(done);
  }
  return failures;
}

/** Errors by which a fix ends well without a module. */
const nothingToDo = new Set(['no-change', 'not-built']);
function printTable(outcomes: readonly Outcome[], failures: ReadonlyMap<Outcome, string>): Map<string, number> {
  const rows = new Map<string, number>();
  const count = (row: string): void => void rows.set(row, (rows.get(row) ?? 0) + 1);
  let failed = 0;
  for (const outcome of outcomes) {
    if (outcome.result === 'failed' || failures.has(outcome)) {
      failed++;
      count('failed');
    } else if (outcome.result === 'built') count(values['no-load'] ? 'built' : 'built, loaded, unloaded, log clean');
    else if (nothingToDo.has(outcome.result))
      count(outcome.result === 'no-change' ? 'nothing to do' : 'not in this kernel');
    else count(outcome.result === leftOut ? `${leftOut}, loaded` : `refused: ${outcome.result}`);
  }
  console.log('\n| outcome | fixes |\n|---|---|');
  for (const [row, number] of [...rows].sort((a, b) => b[1] - a[1])) console.log(`| ${row} | ${number} |`);
  if (failed === 0) console.log('| failed | 0 |');
  const built = outcomes.filter(({ build: made }) => made !== undefined).length;
  const code = outcomes.filter(({ result }) => !nothingToDo.has(result)).length;
  console.log(
    `\nOf ${code} that are in the kernel and change code, ${built} were built (${((100 * built) / Math.max(1, code)).toFixed(0)} of 100).`,
  );
  rows.set('failed', failed);
  return rows;
}

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

function lineOf(index: number, { fix, result, ms, detail }: Outcome): string {
  const name = `${fix.name}${fix.files.length > 1 ? ` (${plural(fix.files.length, 'file')})` : ''}`;
  const text = detail.split('\n')[0]!.slice(0, 150);
  return `${String(index).padStart(4)}  ${result.padEnd(26)} ${(ms / 1000).toFixed(1).padStart(6)} s  ${name}  ${text}`;
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
  const difference = new Difference(older, newer, files);
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
    : await report.stage('load every module', () => loadAll(older, outcomes));
  for (const [outcome, said] of failures) console.log(`\nFAILED ${outcome.fix.name}\n${said}`);
  for (const outcome of outcomes.filter(({ result }) => result === 'failed'))
    console.log(`\nFAILED ${outcome.fix.name}\n${outcome.detail}`);
  const rows = printTable(outcomes, failures);
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

/**
 * The times that people wait for, beside those of version 0.1: build, create-diff-object, list, help. With KPATCH_BASELINE, the
 * folder of an installed checkout of 0.1, both run in turns on this machine; otherwise the figures of 0.1 are those that were recorded
 * on two otherwise idle cores.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run, runOk } from '#kpatch/base/run.ts';
import { targets } from '../packages/kpatch/test/differ/corpus/targets.ts';
import { compile } from '../packages/kpatch/test/differ/fixture.ts';
import { sourcePatch } from '../packages/kpatch/test/source/source-patch.ts';

const RUNS = 5;
const root = join(import.meta.dirname, '..');
const baseline = process.env.KPATCH_BASELINE;
using folder = temporaryFolder('kpatch-bench-');
const place = (name: string): string => join(folder.path, name);

/** Milliseconds by the clock; undefined if the program fails. */
async function timed(program: string, args: readonly string[]): Promise<number | undefined> {
  const start = performance.now();
  const { status } = await run(program, args, { timeoutMs: 600_000 });
  return status === 0 ? performance.now() - start : undefined;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const text = (ms: number | undefined): string =>
  ms === undefined ? 'failed' : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;

interface Figure {
  readonly what: string;
  /** Name of the program in bin/. */
  readonly program: string;
  /** The arguments of one run; a run of 0.1 has the same. */
  readonly args: (round: number) => readonly string[];
  /** What version 0.1 took, and the goal, as text. */
  readonly recorded: string;
  readonly goal: string;
}

/** Measures in turns, so that other work on the machine disturbs both alike. */
async function figure({ what, program, args, recorded, goal }: Figure): Promise<void> {
  const times: { now: number[]; before: number[] } = { now: [], before: [] };
  for (let round = 0; round <= RUNS; round++) {
    const now = await timed(join(root, 'bin', program), args(round));
    const before = baseline === undefined ? undefined : await timed(join(baseline, 'bin', program), args(round));
    if (round === 0) continue; // warms up
    if (now !== undefined) times.now.push(now);
    if (before !== undefined) times.before.push(before);
  }
  const now = times.now.length === 0 ? undefined : median(times.now);
  const before = times.before.length === 0 ? undefined : median(times.before);
  const ratio = now === undefined || before === undefined ? '' : (now / before).toFixed(2);
  row(what, text(now), before === undefined ? `${recorded} (recorded)` : text(before), ratio, goal);
}

const row = (...cells: string[]): void => console.log(`| ${cells.join(' | ')} |`);

/** Patches of one file, each a little different, so that no patched object is in the cache. */
async function patchesFor(release: string): Promise<(round: number) => string> {
  const { stdout } = await runOk(join(root, 'bin/kpatch'), ['kernel', 'show', release, '--json']);
  const tree = /"tree": "([^"]+)"/.exec(stdout.toString())![1]!;
  const stamp = Date.now() % 100_000;
  return (round) => {
    const path = place(`${release}-${round}.patch`);
    const edit = (source: string): string =>
      source.replace('"VmallocChunk:   ", 0ul', `"VmallocChunk:   ", ${stamp}${round}ul`);
    writeFileSync(path, sourcePatch(tree, { 'fs/proc/meminfo.c': edit }));
    return path;
  };
}

async function builds(): Promise<void> {
  const { stdout } = await runOk(join(root, 'bin/kpatch'), ['kernel', 'list', '--json']);
  const { kernels } = JSON.parse(stdout.toString()) as { kernels: { release: string; state: string }[] };
  for (const [version, recorded, goal] of [
    ['6.1.', '3.1 s', '1.5 s'],
    ['6.12.', '3.4 s', '2 s'],
  ] as const) {
    const release = kernels.find((kernel) => kernel.state === 'ready' && kernel.release.startsWith(version))?.release;
    if (release === undefined) {
      row(`build for ${version}`, 'no such kernel is prepared', recorded, '', goal);
      continue;
    }
    const edited = await patchesFor(release);
    const build = (patch: string): string[] => ['build', patch, '-k', release, '-o', place('bench.ko')];
    const common = { program: 'kpatch', recorded, goal };
    await figure({ what: `build, one edited file, ${release}`, args: (round) => build(edited(round)), ...common });
    const same = edited(99);
    await figure({ what: `build, the same patch again, ${release}`, args: () => build(same), ...common });
    await memory(build(same));
  }
}

async function memory(args: readonly string[]): Promise<void> {
  const peak = async (program: string): Promise<string> => {
    const { stdout } = await runOk(program, [...args, '--json']);
    return `${Math.round((JSON.parse(stdout.toString()) as { peakMemoryKiB: number }).peakMemoryKiB / 1024)} MB`;
  };
  const before = baseline === undefined ? '324 MB (recorded)' : await peak(join(baseline, 'bin/kpatch'));
  row('&nbsp;&nbsp;memory of it', await peak(join(root, 'bin/kpatch')), before, '', '200 MB');
}

/** A series of 20 files, then the same with one of them edited. */
async function series(): Promise<void> {
  const { stdout } = await runOk(join(root, 'bin/kpatch'), ['kernel', 'list', '--json']);
  const release = /"release": "(6\.1\.[^"]+)"/.exec(stdout.toString())?.[1];
  if (release === undefined) return;
  const shown = await runOk(join(root, 'bin/kpatch'), ['kernel', 'show', release, '--json']);
  const tree = /"tree": "([^"]+)"/.exec(shown.stdout.toString())![1]!;
  const files =
    `fs/filesystems.c fs/locks.c fs/proc/array.c fs/proc/base.c fs/proc/consoles.c fs/proc/devices.c fs/proc/meminfo.c
fs/proc/softirqs.c fs/proc/task_mmu.c fs/proc/uptime.c fs/proc_namespace.c kernel/cgroup/cgroup-v1.c kernel/cgroup/cpuset.c
kernel/irq/proc.c kernel/resource.c mm/memcontrol.c mm/swapfile.c mm/vmalloc.c net/core/net-procfs.c net/ipv4/proc.c`.split(
      /\s+/,
    );
  const stamp = `${Date.now() % 100_000}`;
  const write = (edited: string): string => {
    const patches = place('series');
    rmSync(patches, { recursive: true, force: true });
    mkdirSync(patches);
    for (const [index, file] of files.entries()) {
      const mark = file === 'fs/proc/uptime.c' ? edited : stamp;
      const edit = (source: string): string => source.replace(/seq_(puts|printf)\((\w+), "/, `seq_$1($2, "${mark} `);
      writeFileSync(join(patches, `${String(index).padStart(2, '0')}.patch`), sourcePatch(tree, { [file]: edit }));
    }
    return patches;
  };
  for (const [what, edited] of [
    ['a series of 20 files', stamp],
    ['the same with one file edited', `${stamp}1`],
  ] as const) {
    const args = ['build', write(edited), '-k', release, '-o', place('series.ko')];
    const now = await timed(join(root, 'bin/kpatch'), args);
    const before = baseline === undefined ? undefined : await timed(join(baseline, 'bin/kpatch'), args);
    const ratio = now === undefined || before === undefined ? '' : (now / before).toFixed(2);
    row(`${what}, ${release}`, text(now), before === undefined ? 'not recorded' : text(before), ratio, '');
  }
}

async function programs(): Promise<void> {
  const { headers } = targets[0]!;
  for (const [name, argument] of [
    ['a.o', 'a'],
    ['b.o', 'a + 1'],
  ] as const)
    writeFileSync(place(name), compile(targets[0]!, `${headers}\nint f(int a) { return use(${argument}); }`));
  writeFileSync(place('symtab'), execFileSync('readelf', ['-sW', place('a.o')]));
  writeFileSync(place('symvers'), '0x12345678\tuse\tvmlinux\tEXPORT_SYMBOL\t\n');
  const words = ['a.o', 'b.o'].map(place);
  const args = [...words, 'vmlinux', place('symtab'), place('symvers'), 'kpatch_x', place('out.o')];
  const diff = { program: 'create-diff-object', args: () => args, recorded: '87 ms', goal: '60 ms' };
  await figure({ what: 'create-diff-object, a small object', ...diff });
  for (const [command, recorded, goal] of [
    ['list', '79 ms', '35 ms'],
    ['help', '69 ms', '40 ms'],
  ] as const)
    await figure({ what: `kpatch ${command}`, program: 'kpatch', args: () => [command], recorded, goal });
}

if (baseline !== undefined && !existsSync(join(baseline, 'bin/kpatch')))
  throw new Error(`${baseline} has no bin/kpatch`);
row('what', 'now', 'version 0.1', 'ratio', 'goal');
row('---', '---', '---', '---', '---');
await programs();
await builds();
await series();
console.log('\n100 pairs of objects: see the table of bench/differ.ts (1.9 s in version 0.1, goal 1.2 s).');

/** How long a build takes, stage by stage, and how much memory: `bin/kpatch build` as the user calls it. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run, runOk } from '#kpatch/base/run.ts';
import { sourcePatch } from '../packages/kpatch/test/source/source-patch.ts';

const root = join(import.meta.dirname, '..');
const kpatch = join(root, 'bin', 'kpatch');
using folder = temporaryFolder('kpatch-bench-');

interface BuildDocument {
  readonly release: string;
  readonly peakMemoryKiB: number;
  readonly stages: readonly { readonly name: string; readonly ms: number }[];
}

async function timed(args: readonly string[]): Promise<{ ms: number; stdout: string }> {
  const start = performance.now();
  const { stdout } = await runOk(kpatch, args);
  return { ms: performance.now() - start, stdout: stdout.toString() };
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const row = (...cells: (string | number)[]): void => console.log(`| ${cells.join(' | ')} |`);
const ms = (value: number): string => `${Math.round(value)} ms`;

async function start(): Promise<void> {
  await timed(['--version']);
  const times: number[] = [];
  for (let i = 0; i < 11; i++) times.push((await timed(['--version'])).ms);
  row('`kpatch --version`', ms(median(times)), 'at most 120 ms');
}

/** Builds the example twice to warm everything up, then measures. */
async function warm(release: string, limit: string): Promise<string> {
  const patch = join(root, 'examples', 'meminfo.patch');
  const output = join(folder.path, 'bench.ko');
  const args = ['build', patch, '-o', output, '--json', '--kernel', release];
  await timed(args);
  const runs: { ms: number; document: BuildDocument }[] = [];
  for (let i = 0; i < 5; i++) {
    const { ms, stdout } = await timed(args);
    runs.push({ ms, document: JSON.parse(stdout) as BuildDocument });
  }
  const middle = runs.sort((a, b) => a.ms - b.ms)[2]!;
  const { document } = middle;
  row(`one-file patch, warm, ${document.release}`, ms(middle.ms), limit);
  for (const stage of document.stages)
    row(`&nbsp;&nbsp;${stage.name}`, ms(stage.ms), `${Math.round((100 * stage.ms) / middle.ms)} %`);
  row('&nbsp;&nbsp;memory of kpatch itself', `${Math.round(document.peakMemoryKiB / 1024)} MiB`, 'under 500 MiB');
  return document.release;
}

/** Files that print something, each of which gets a patch of its own. */
const series = `fs/filesystems.c fs/locks.c fs/proc/array.c fs/proc/base.c fs/proc/consoles.c fs/proc/devices.c fs/proc/meminfo.c
fs/proc/softirqs.c fs/proc/task_mmu.c fs/proc/uptime.c fs/proc_namespace.c kernel/cgroup/cgroup-v1.c kernel/cgroup/cpuset.c
kernel/irq/proc.c kernel/resource.c mm/memcontrol.c mm/swapfile.c mm/vmalloc.c net/core/net-procfs.c net/ipv4/proc.c`;

/** A series of 20 files; the first time on a kernel their originals are compiled too. */
async function twenty(release: string): Promise<void> {
  const { stdout } = await timed(['kernel', 'show', release, '--json']);
  const tree = /"tree": "([^"]+)"/.exec(stdout)![1]!;
  const patches = join(folder.path, 'series');
  mkdirSync(patches);
  for (const [index, file] of series.split(/\s+/).entries()) {
    const text = sourcePatch(tree, {
      [file]: (source) => source.replace(/seq_(puts|printf)\((\w+), "/, 'seq_$1($2, " '),
    });
    writeFileSync(join(patches, `${String(index).padStart(2, '0')}.patch`), text);
  }
  const built = await timed(['build', patches, '-k', release, '-o', join(folder.path, 'series.ko'), '--json']);
  const { peakMemoryKiB } = JSON.parse(built.stdout) as BuildDocument;
  row(`a series of 20 files, ${release}`, ms(built.ms), 'at most 60 s');
  row('&nbsp;&nbsp;memory of kpatch itself', `${Math.round(peakMemoryKiB / 1024)} MiB`, 'under 1 GB');
}

/** Prepares the kernel again, in a cache of its own, with the packages downloaded beforehand. */
async function cold(release: string): Promise<void> {
  const cache = join(folder.path, 'cache');
  const env = { XDG_CACHE_HOME: cache };
  const shared = await run(kpatch, ['kernel', 'show', release, '--json']);
  const packages = /"root": "(.*)\/kernels\//.exec(shared.stdout.toString())?.[1];
  if (packages !== undefined)
    await runOk('sh', ['-c', `mkdir -p ${cache}/kpatch && cp -r ${packages}/packages ${cache}/kpatch/`]);
  const begin = performance.now();
  await runOk(
    kpatch,
    ['build', join(root, 'examples', 'meminfo.patch'), '-k', release, '-o', join(folder.path, 'cold.ko')],
    { env },
  );
  row(`cold, packages downloaded, ${release}`, ms(performance.now() - begin), 'at most 60 s');
  await run('chmod', ['-R', 'u+w', cache]);
  rmSync(cache, { recursive: true, force: true });
}

async function prove(release: string): Promise<void> {
  const output = join(folder.path, 'bench.ko');
  readFileSync(output);
  const { ms: time } = await timed([
    'prove',
    output,
    '--kernel',
    release,
    '--test',
    join(root, 'examples', 'meminfo.test.sh'),
  ]);
  row('`kpatch prove`, one function, software emulation', ms(time), 'at most 15 s');
}

row('what', 'measured', 'goal or share');
row('---', '---', '---');
await start();
const newest = JSON.parse((await timed(['kernel', 'add', '--json'])).stdout) as { kernel: { release: string } };
const release = await warm(newest.kernel.release, 'at most 5 s');
await prove(release);
await twenty(release);
await cold(release);

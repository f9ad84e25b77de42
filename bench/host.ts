/** How long `kpatch list` and `kpatch status` take from the packaged executable, and how much memory they use. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../src/util/files.ts';
import { run, runOk } from '../src/util/run.ts';

const root = join(import.meta.dirname, '..');
const executable = join(root, 'dist/kpatch');
if (!existsSync(executable)) await runOk(process.execPath, [join(root, 'tools/packages.ts'), '--executable']);
using folder = temporaryFolder('kpatch-bench-');
mkdirSync(join(folder.path, 'var/lib/kpatch'), { recursive: true });
// As on a machine that was not just installed: what the page cache holds of the file is what runs read of it.
await run('sh', ['-c', 'sync -d "$1" && dd if="$1" iflag=nocache count=0 2>/dev/null', 'sh', executable]);

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/** Wall time and processor time in ms and the largest resident memory in KiB of one run, as the kernel accounts for it. */
async function measure(args: readonly string[]): Promise<{ ms: number; cpu: number; memory: number }> {
  const account = `import resource,subprocess,sys,time
start=time.monotonic(); subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL); end=time.monotonic()
use=resource.getrusage(resource.RUSAGE_CHILDREN)
print((end-start)*1000,(use.ru_utime+use.ru_stime)*1000,use.ru_maxrss)`;
  const { stdout } = await runOk('python3', ['-c', account, executable, ...args]);
  const [ms = Number.NaN, cpu = Number.NaN, memory = Number.NaN] = stdout.toString().split(' ').map(Number);
  return { ms, cpu, memory };
}

console.log('| | time | limit | of it processor | resident memory | limit |\n|---|---|---|---|---|---|');
for (const verb of ['list', 'status']) {
  const args = [verb, '--root', folder.path];
  await measure(args);
  const runs: { ms: number; cpu: number; memory: number }[] = [];
  for (let i = 0; i < 11; i++) runs.push(await measure(args));
  const ms = Math.round(median(runs.map((one) => one.ms)));
  const cpu = Math.round(median(runs.map((one) => one.cpu)));
  const memory = Math.round(median(runs.map((one) => one.memory)) / 1024);
  console.log(`| \`kpatch ${verb}\` | ${ms} ms | at most 80 ms | ${cpu} ms | ${memory} MiB | at most 80 MiB |`);
}

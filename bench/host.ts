/**
 * How long `kpatch list` and `kpatch status` take from the packaged executable, with one patch installed, and how much memory
 * they use; what the host policy costs; and what `kpatch load` does beside the kernel: `--dry-run` on an image reads the module and makes every check, insmod does not run.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run, runOk } from '#kpatch/base/run.ts';
import { admit } from '#kpatch/host/acceptance/acceptance.ts';
import { readModuleFile } from '#kpatch/host/store/module-file.ts';
import { signModule } from '#kpatch/module/make/sign.ts';
import { FakeMachine, moduleBytes, RELEASE } from '../packages/kpatch/test/host/fake.ts';
import { makeProofKey, prove, setPolicy } from '../packages/kpatch/test/host/trust.ts';
import { makeKey } from '../packages/kpatch/test/module/key.ts';

/** As large as a patch of a few functions is with its type and line information. */
const MODULE_BYTES = 300_000;
/** Consoles of a full proof. */
const PROOF_BYTES = 240_000;
const root = join(import.meta.dirname, '..');
const executable = join(root, 'dist/kpatch');
if (!existsSync(executable)) await runOk(process.execPath, [join(root, 'tools/packages.ts'), '--executable']);
using folder = temporaryFolder('kpatch-bench-');
const modules = `lib/modules/${RELEASE}`;
for (const path of ['var/lib/kpatch', 'sys/kernel/livepatch', 'proc/sys/kernel/random', modules]) {
  mkdirSync(join(folder.path, path), { recursive: true });
}
writeFileSync(join(folder.path, 'proc/sys/kernel/osrelease'), `${RELEASE}\n`);
writeFileSync(join(folder.path, 'proc/sys/kernel/random/boot_id'), 'this boot\n');
const patch = join(folder.path, 'fix.ko');
const bytes = moduleBytes({ name: 'fix', filling: 'x'.repeat(MODULE_BYTES) });
for (const path of [patch, join(folder.path, modules, 'one.ko')]) writeFileSync(path, bytes);
writeFileSync(join(folder.path, modules, 'modules.dep'), 'one.ko:\n');
await runOk(executable, ['install', '--root', folder.path, patch]);
// As on a machine that was not just installed: what the page cache holds of the file is what runs read of it.
await run('sh', ['-c', 'sync -d "$1" && dd if="$1" iflag=nocache count=0 2>/dev/null', 'sh', executable]);

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/** Wall time and processor time in ms and the largest resident memory in KiB of one run, as the kernel accounts for it. */
async function measure(args: readonly string[]): Promise<{ ms: number; cpu: number; memory: number }> {
  const account = `import resource,subprocess,sys,time
start=time.monotonic(); subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL,stderr=subprocess.DEVNULL); end=time.monotonic()
use=resource.getrusage(resource.RUSAGE_CHILDREN)
print((end-start)*1000,(use.ru_utime+use.ru_stime)*1000,use.ru_maxrss)`;
  const { stdout } = await runOk('python3', ['-c', account, executable, ...args]);
  const [ms = Number.NaN, cpu = Number.NaN, memory = Number.NaN] = stdout.toString().split(' ').map(Number);
  return { ms, cpu, memory };
}

console.log('| | time | limit | of it processor | resident memory | limit |\n|---|---|---|---|---|---|');
for (const [args, limit] of [
  [['list'], 80],
  [['status'], 80],
  [['load', '--dry-run', patch], 200],
] as const) {
  const line = [...args, '--root', folder.path];
  await measure(line);
  const runs: { ms: number; cpu: number; memory: number }[] = [];
  for (let i = 0; i < 11; i++) runs.push(await measure(line));
  const ms = Math.round(median(runs.map((one) => one.ms)));
  const cpu = Math.round(median(runs.map((one) => one.cpu)));
  const memory = Math.round(median(runs.map((one) => one.memory)) / 1024);
  console.log(
    `| \`kpatch ${args.slice(0, 2).join(' ')}\` | ${ms} ms | at most ${limit} ms | ${cpu} ms | ${memory} MiB | at most 80 MiB |`,
  );
}

// What the host policy costs: the policy, two keys, a proof with its consoles, and a module signature are read and checked.
{
  using machine = new FakeMachine();
  const key = makeProofKey(machine, 'proofs');
  const signing = makeKey(folder.path, 'signer');
  machine.set('etc/keys/signer.pem', readFileSync(signing.certificate));
  setPolicy(machine, {
    proof: { required: true, keys: [key.name] },
    signature: { required: true, certificates: ['keys/signer.pem'] },
  });
  const file = machine.module({ name: 'fix', filling: 'x'.repeat(MODULE_BYTES) });
  writeFileSync(file, await signModule(readFileSync(file), signing, 'sha256'));
  const console = 'one line of a console, as a guest prints it while it boots\n'.repeat(PROOF_BYTES / 60);
  prove(file, key, { boots: [{ boot: 'stock', title: 'stock', acceleration: 'tcg', bootMs: 1, console }] });
  machine.now = Date.now() - Date.UTC(2026, 0, 1); // the certificate is of today
  const module = readModuleFile(file);
  const times: number[] = [];
  for (let i = 0; i < 21; i++) {
    const start = performance.now();
    admit(machine, module, { unattended: false });
    times.push(performance.now() - start);
  }
  const [first = Number.NaN, ...later] = times;
  globalThis.console.log(
    `\nA policy check with a proof of ${PROOF_BYTES / 1000} kB and a signed module: ${median(later).toFixed(1)} ms (at most 5 ms), the first one in a process ${first.toFixed(1)} ms from the sources, which loads asn1js.`,
  );
}

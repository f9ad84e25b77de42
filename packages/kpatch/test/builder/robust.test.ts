/**
 * Builds as they happen to be called: many at once on one prepared kernel, killed at any moment, from other folders and
 * settings. Each of them ends with the same module, byte for byte. The long form (KPATCH_SOAK=1) prepares a kernel in a
 * cache of its own, so that the bytes are those of another place too and every original is compiled again.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { runOk } from '#kpatch/base/run.ts';
import { packagesFolder } from '#kpatch/prepare/cache.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { numbers } from '../differ/fuzz.ts';
import { sourcePatch } from '../source/source-patch.ts';
import { stockKernel } from '../vm/stock-kernel.ts';

const soak = process.env.KPATCH_SOAK === '1';
const AT_ONCE = soak ? 10 : 3;
const KILLS = soak ? 20 : 3;
const SEED = 20261125;

const kpatch = join(import.meta.dirname, '../../../../bin/kpatch');
const folder = temporaryFolder('kpatch-robust-');
const temporary = join(folder.path, 'tmp');
const cache = join(folder.path, 'cache');
let release = '';
const patches: string[] = [];
/** By patch: what a build alone gives. */
const expected = new Map<string, Buffer>();

/** One-line changes, each of another file. */
const edits: readonly (readonly [file: string, from: string, to: string])[] = [
  ['fs/proc/meminfo.c', '"VmallocChunk:   ", 0ul', '"VmallocChunk:   ", 4242ul'],
  ['fs/proc/loadavg.c', 'nr_running(), nr_threads', 'nr_running() + 1, nr_threads'],
  ['fs/proc/uptime.c', '"%lu.%02lu %lu.%02lu\\n"', '"%lu.%02lu  %lu.%02lu\\n"'],
  ['fs/proc/cmdline.c', "seq_putc(m, '\\n')", 'seq_puts(m, " \\n")'],
  ['fs/proc/softirqs.c', '"CPU%-8d"', '"CPU %-7d"'],
  ['fs/proc/consoles.c', '"%c%c%c (%s)"', '"%c%c%c [%s]"'],
  ['fs/proc/devices.c', '"Character devices:\\n"', '"Character devices :\\n"'],
  ['fs/filesystems.c', '"%s\\t%s\\n"', '"%s\\t %s\\n"'],
  ['fs/proc/version.c', 'utsname()->version)', 'utsname()->release)'],
];

interface Settings {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly umask?: string;
  readonly args?: readonly string[];
  readonly cache?: string | undefined;
}

function start(patch: string, output: string, settings: Settings = {}): ChildProcess {
  const home = 'cache' in settings ? settings.cache : soak ? cache : undefined;
  const env = { ...process.env, TMPDIR: temporary, ...(home === undefined ? {} : { XDG_CACHE_HOME: home }) };
  const args = ['build', patch, '-k', release, '-o', output, ...(settings.args ?? [])];
  const script = `umask ${settings.umask ?? '022'}; exec "$0" "$@"`;
  const options = { cwd: settings.cwd ?? folder.path, env: { ...env, ...settings.env } };
  return spawn('sh', ['-c', script, kpatch, ...args], { ...options, stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Builds, and gives the module's bytes. */
async function built(patch: string, name: string, settings?: Settings): Promise<Buffer> {
  const output = join(folder.path, name);
  const child = start(patch, output, settings);
  let said = '';
  child.stderr!.on('data', (chunk: Buffer) => (said += chunk));
  assert.equal(await new Promise((resolve) => child.on('close', resolve)), 0, said);
  const bytes = readFileSync(output);
  for (const made of [output, output.replace(/\.ko$/, '.provenance.json')]) rmSync(made, { force: true });
  return bytes;
}

before(async () => {
  for (const name of ['tmp', 'home', 'elsewhere']) mkdirSync(join(folder.path, name));
  ({ release } = await stockKernel('6.1'));
  const { paths } = await prepareKernel(release, { report: silentReporter() });
  for (const [file, from, to] of edits) {
    const patch = join(folder.path, `${basename(file, '.c')}.patch`);
    writeFileSync(patch, sourcePatch(paths.tree, { [file]: (text) => text.replace(from, to) }));
    patches.push(patch);
  }
  // Two of those that run at once build the same.
  const used = [patches[0]!, ...patches].slice(0, AT_ONCE);
  for (const patch of new Set(used)) {
    expected.set(patch, await built(patch, 'expected.ko', { cache: undefined }));
  }
  if (!soak) return;
  mkdirSync(join(cache, 'kpatch'), { recursive: true });
  cpSync(packagesFolder(), join(cache, 'kpatch/packages'), { recursive: true });
});
after(async () => {
  if (existsSync(cache)) await runOk('chmod', ['-R', 'u+w', cache]);
  folder.dispose();
});

/** Processes that the builds started and that are still there. */
function remaining(): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false;
    try {
      const environment = readFileSync(join('/proc', pid, 'environ'), 'latin1').split('\0');
      return environment.some((entry) => entry.startsWith(`TMPDIR=${temporary}`));
    } catch {
      return false;
    }
  });
}

/** Temporary files in the cache. */
function unfinished(): string[] {
  const root = soak ? join(cache, 'kpatch') : join(packagesFolder(), '..');
  return readdirSync(join(root, 'derived'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.tmp'),
  );
}

describe('builds', { concurrency: 1 }, () => {
  test(`${AT_ONCE} at once on one prepared kernel give what each gives alone`, async () => {
    const running = [patches[0]!, ...patches].slice(0, AT_ONCE);
    const modules = await Promise.all(running.map((patch, index) => built(patch, `at-once-${index}.ko`)));
    for (const [index, bytes] of modules.entries()) {
      assert.ok(bytes.equals(expected.get(running[index]!)!), `another module of ${basename(running[index]!)}`);
    }
    assert.deepEqual(readdirSync(temporary), []);
  });

  test('folders, locale, umask, number of compilers and settings for make do not change the module', async () => {
    const patch = patches[0]!;
    const foreign = {
      TMPDIR: join(folder.path, 'elsewhere'),
      HOME: join(folder.path, 'home'),
      LC_ALL: 'de_DE.UTF-8',
      TZ: 'Pacific/Auckland',
      USER: 'nobody',
      KCFLAGS: '-O1',
      CFLAGS: '-g3',
      MAKEFLAGS: '-k',
      ARCH: 'arm64',
      SOURCE_DATE_EPOCH: '1',
      KBUILD_BUILD_USER: 'somebody',
    };
    const bytes = await built(patch, 'elsewhere.ko', { env: foreign, cwd: '/', umask: '077', args: ['-j', '1'] });
    assert.ok(bytes.equals(expected.get(patch)!));
  });

  test(`killed at ${KILLS} moments, the next one is right, and nothing is left`, async (t) => {
    const next = numbers(SEED);
    const patch = patches[0]!;
    let killed = 0;
    // Milliseconds that the build before took: later ones use what earlier ones compiled, and the machine may be less busy.
    let usual = 0;
    const whole = async (): Promise<Buffer> => {
      const begin = performance.now();
      const bytes = await built(patch, 'killed.ko');
      usual = performance.now() - begin;
      return bytes;
    };
    await whole();
    for (let round = 0; round < KILLS; round++) {
      if (soak) {
        for (const derived of readdirSync(join(cache, 'kpatch/derived')))
          rmSync(join(cache, 'kpatch/derived', derived, 'objects'), { recursive: true, force: true });
      }
      const child = start(patch, join(folder.path, 'killed.ko'));
      const ended = new Promise((resolve) => child.on('close', (_, signal) => resolve(signal)));
      await sleep(next(Math.round(usual)));
      child.kill('SIGKILL');
      if ((await ended) === 'SIGKILL') killed++;
      rmSync(join(folder.path, 'killed.ko'), { force: true });
      const bytes = await whole();
      assert.ok(bytes.equals(expected.get(patch)!), `round ${round} of seed ${SEED}`);
    }
    t.diagnostic(`${killed} of ${KILLS} were killed before their end`);
    assert.ok(killed > 0);
    for (let wait = 0; wait < 600 && remaining().length > 0; wait++) await sleep(100);
    assert.deepEqual(remaining(), [], 'programs that outlived their kpatch');
    assert.ok((await built(patch, 'killed.ko')).equals(expected.get(patch)!));
    assert.deepEqual(readdirSync(temporary), []);
    assert.deepEqual(
      readdirSync(folder.path).filter((name) => name.includes('killed')),
      [],
    );
    assert.deepEqual(unfinished(), []);
  });
});

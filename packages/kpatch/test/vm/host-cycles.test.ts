/**
 * A patch loaded and unloaded many times: the kernel's memory does not grow and its log stays clean. To start the program
 * takes longest in software emulation, so one process does it, with what `kpatch load` and `kpatch unload` call.
 * KPATCH_CYCLES sets the number.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Guest } from '#kpatch/vm/guest.ts';
import { BAD_LOG, bootSmall, inside, LP } from './host-guest.ts';
import { processorsFor } from './stock-kernel.ts';

const CYCLES = Number(process.env.KPATCH_CYCLES ?? (process.env.KPATCH_SOAK === '1' ? 500 : 8));
/** The first ones fill caches that stay. */
const WARM_UP = Math.min(20, Math.ceil(CYCLES / 4));
/** A cycle that left anything behind would leave the pages of a module: text, data, read-only data. */
const PAGE_KIB = 4;
/** What other things in the kernel take and give back in the meantime. */
const NOISE_KIB = 2048;

/** Memory that only the kernel itself uses, in KiB. */
async function kernelMemory(guest: Guest): Promise<number> {
  const script = `sync; echo 3 >/proc/sys/vm/drop_caches; sleep 2
awk '/^(SUnreclaim|VmallocUsed|Percpu|KernelStack|PageTables):/ { sum += $2 } END { print sum }' /proc/meminfo`;
  return Number((await guest.runOk(script)).output);
}

const host = join(import.meta.dirname, '../../host');
const program = `import { existsSync, readFileSync } from 'node:fs';
import { loadModule } from '${host}/live/load.ts';
import { thisMachine } from '${host}/machine/machine.ts';
import { readModuleFile } from '${host}/store/module-file.ts';
import { unloadPatch } from '${host}/live/unload.ts';
import { silentReporter } from '${host}/../base/report.ts';
const machine = thisMachine();
for (let i = 0; i < Number(process.argv[2]); i++) {
  await loadModule(machine, readModuleFile('${LP}/lp_one.ko'), {}, silentReporter());
  if (readFileSync('/proc/loadavg', 'utf8').trim() !== 'lp_one') throw new Error('not patched');
  await unloadPatch(machine, 'lp_one', {}, silentReporter());
  if (existsSync('/sys/module/lp_one')) throw new Error('not gone');
  if (i % 50 === 49) console.log(i + 1, 'cycles');
}
console.log(Math.round(process.memoryUsage.rss() / 1024));`;

/** Gives the resident memory of the process at its end, in KiB. */
async function cycles(guest: Guest, count: number): Promise<number> {
  const script = `cat >/tmp/cycles.mts <<'END'\n${program}\nEND\n${process.execPath} /tmp/cycles.mts ${count} 2>&1`;
  const { status, output } = await guest.run(inside(script), {
    deadlineMs: 60_000 + count * 20_000,
    onOutput: (text) => void process.stdout.write(text),
  });
  assert.equal(status, 0, output);
  return Number(output.trim().split('\n').at(-1));
}

const series = process.env.KPATCH_SOAK === '1' ? (['6.1', '6.12'] as const) : (['6.1'] as const);
for (const one of series) {
  test(`${one}: ${CYCLES} times loaded and unloaded`, async () => {
    const guest = await bootSmall({ series: one, bootOptions: processorsFor(one) });
    try {
      await cycles(guest, WARM_UP);
      const before = await kernelMemory(guest);
      const start = performance.now();
      const resident = await cycles(guest, CYCLES - WARM_UP);
      const seconds = (performance.now() - start) / 1000;
      const growth = (await kernelMemory(guest)) - before;
      const each = (seconds / (CYCLES - WARM_UP)).toFixed(1);
      console.log(
        `${one}: ${CYCLES} cycles, ${each} s each; kernel ${before} KiB, then ${growth} KiB more; this process ${resident} KiB`,
      );
      assert.ok(growth < NOISE_KIB + (PAGE_KIB * (CYCLES - WARM_UP)) / 2, `it grew by ${growth} KiB`);
      assert.equal((await guest.run(BAD_LOG)).output, '');
    } finally {
      await guest.stop();
    }
  });
}

/**
 * A patch loaded and unloaded many times: the kernel's memory does not grow and its log stays clean. KPATCH_CYCLES sets the
 * number.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Guest } from '../../src/vm/guest.ts';
import { BAD_LOG, bootSmall, inside, LP } from './host-guest.ts';

const CYCLES = Number(process.env.KPATCH_CYCLES ?? (process.env.KPATCH_SOAK === '1' ? 500 : 8));
/** The first ones fill caches that stay. */
const WARM_UP = Math.min(20, Math.ceil(CYCLES / 4));
/** A cycle that left anything behind would leave the pages of a module: text, data, read-only data. */
const PAGE_KIB = 4;
/** What other things in the kernel take and give back meanwhile. */
const NOISE_KIB = 2048;

/** Memory that only the kernel itself uses, in KiB. */
async function kernelMemory(guest: Guest): Promise<number> {
  const script = `sync; echo 3 >/proc/sys/vm/drop_caches; sleep 2
awk '/^(SUnreclaim|VmallocUsed|Percpu|KernelStack|PageTables):/ { sum += $2 } END { print sum }' /proc/meminfo`;
  return Number((await guest.runOk(script)).output);
}

async function cycles(guest: Guest, count: number): Promise<void> {
  const script = `for i in $(seq ${count}); do
  kpatch load ${LP}/lp_one.ko >/tmp/said 2>&1 && read -r line </proc/loadavg && [ $line = lp_one ] &&
    kpatch unload lp_one >/tmp/said 2>&1 && [ ! -e /sys/module/lp_one ] || { cat /tmp/said; exit 1; }
done`;
  const { status, output } = await guest.run(inside(script), { deadlineMs: 60_000 + count * 30_000 });
  assert.equal(status, 0, output);
}

const series = process.env.KPATCH_SOAK === '1' ? (['6.1', '6.12'] as const) : (['6.1'] as const);
for (const one of series) {
  test(`${one}: ${CYCLES} times loaded and unloaded`, async () => {
    const guest = await bootSmall({ series: one });
    try {
      await cycles(guest, WARM_UP);
      const before = await kernelMemory(guest);
      const start = performance.now();
      await cycles(guest, CYCLES - WARM_UP);
      const seconds = (performance.now() - start) / 1000;
      const growth = (await kernelMemory(guest)) - before;
      const each = (seconds / (CYCLES - WARM_UP)).toFixed(1);
      console.log(
        `${one}: ${CYCLES} cycles, ${each} s each; the kernel's memory: ${before} KiB, then ${growth} KiB more`,
      );
      assert.ok(growth < NOISE_KIB + (PAGE_KIB * (CYCLES - WARM_UP)) / 2, `it grew by ${growth} KiB`);
      assert.equal((await guest.run(BAD_LOG)).output, '');
    } finally {
      await guest.stop();
    }
  });
}

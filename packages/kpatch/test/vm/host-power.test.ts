/**
 * Power cuts and kill -9 while patches are installed, replaced and uninstalled. The guest is frozen at a random instant and
 * its disk copied: that is the disk that a power cut would have left (what the guest had not written out is lost). Each
 * copy is checked with the host's own code; some of the cuts are real, and the machine is booted again from what was left.
 * KPATCH_POWER_CUTS sets their number, KPATCH_SEED repeats the moments of a run (as far as a guest repeats anything).
 */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { run, runOk } from '#kpatch/base/run.ts';
import { bootSet } from '#kpatch/host/boot/boot.ts';
import { thisMachine } from '#kpatch/host/machine/machine.ts';
import { readInstalled, recover, releasesIn } from '#kpatch/host/store/store.ts';
import { verify } from '#kpatch/host/verify.ts';
import type { Guest } from '#kpatch/vm/guest.ts';
import { makeDisk } from '#kpatch/vm/system.ts';
import { numbers } from '../differ/fuzz.ts';
import { bootSmall, inside, LP } from './host-guest.ts';
import { processorsFor } from './stock-kernel.ts';

const folder = mkdtempSync(join(tmpdir(), 'kpatch-test-'));
after(() => rmSync(folder, { recursive: true }));
const CUTS = Number(process.env.KPATCH_POWER_CUTS ?? (process.env.KPATCH_SOAK === '1' ? 200 : 10));
/** Of `kpatch install`, each at another moment. */
const KILLS = process.env.KPATCH_SOAK === '1' ? 40 : 6;
const seed = Number(process.env.KPATCH_SEED ?? Date.now() % 1_000_000_007);
const random = numbers(seed);
/** So many of them end the machine for real. */
const REAL_CUTS = Math.max(1, Math.floor(CUTS / 10));

/**
 * Goes on for ever: before each act it says what may boot from then on (`-`: nothing), after it what must. Every fourth
 * act takes the patch out and puts it in again.
 */
const acts = `say() { echo "may: $* ."; }
had=$(kpatch list | sed -n 's/^\\(lp_[a-z]*\\) (.*/\\1/p')
i=0
while :; do
  for next in lp_two lp_three lp_one; do
    say \${had:--} $next
    # 3: the cut before came after it was installed
    kpatch install --downgrade ${LP}/$next.ko >/tmp/said 2>&1 || [ $? = 3 ] || { cat /tmp/said; kpatch list; exit 1; }
    had=$next
    say $had
    i=$((i + 1))
    if [ $((i % 4)) = 0 ]; then
      say $had -
      kpatch uninstall $had >/tmp/said 2>&1 || { cat /tmp/said; exit 1; }
      had=
      say -
      kpatch unload --all >/dev/null 2>&1
    fi
  done
done`;

/** What boots from an image, after the filesystem's own recovery; asserts that nothing in it is half. */
async function bootsFrom(image: string, name: string): Promise<string> {
  const root = join(folder, name);
  mkdirSync(join(root, 'var/lib/kpatch'), { recursive: true });
  const check = await run('e2fsck', ['-p', image]);
  assert.ok(check.status <= 1, `${check.stdout}${check.stderr}`);
  await runOk('debugfs', ['-R', `rdump / ${join(root, 'var/lib/kpatch')}`, image]);
  const machine = thisMachine(root);
  const releases = releasesIn(machine);
  const look = (): string => {
    assert.deepEqual(verify(machine), []);
    const patches = releases.flatMap((release) => bootSet(machine, release));
    for (const patch of patches) readInstalled(patch);
    assert.ok(patches.length <= 1, `${patches.length} of them would boot`);
    return patches[0]?.name ?? '-';
  };
  const found = look();
  for (const release of releases) {
    recover(machine, release);
    const files = readdirSync(join(machine.store, release)).filter((file) => file.endsWith('.ko'));
    assert.deepEqual(files, found === '-' ? [] : [`${found}.ko`], 'recovery must leave just the one that boots');
  }
  assert.equal(look(), found, 'recovery must not change what boots');
  rmSync(root, { recursive: true });
  return found;
}

const kernels = process.env.KPATCH_SOAK === '1' ? (['6.1', '6.12'] as const) : (['6.1'] as const);
for (const series of kernels) {
  test(`${series}: ${CUTS} power cuts: after each the old or the new patch boots`, () => powerCuts(series));
  test(`${series}: ${KILLS} times kill -9 at random moments: the next command goes on from there`, () => kills(series));
}

async function powerCuts(series: (typeof kernels)[number]): Promise<void> {
  const disk = join(folder, `disk-${series}`);
  await makeDisk(disk, 32);
  const seen = new Map<string, number>();
  let cuts = 0;
  for (let real = 0; real < REAL_CUTS; real++) {
    const guest = await bootSmall({ series, disk, bootOptions: processorsFor(series) });
    let may = '';
    let said = '';
    let failed = '';
    try {
      if (real > 0) {
        // What the cut before has left is loaded under the guard, which holds nothing against it, and everything is
        // consistent.
        const { status, output } = await guest.run(inside('kpatch load --all --boot && kpatch verify'), {
          deadlineMs: 120_000,
        });
        assert.equal(status, 0, output);
      }
      guest
        .run(inside(acts), {
          deadlineMs: 3_600_000,
          onOutput: (text) => {
            said = (said + text).slice(-2000);
            may = [...said.matchAll(/may: (.*) \./g)].at(-1)?.[1] ?? may;
          },
        })
        .then(({ output }) => {
          failed = output.slice(-3000);
        })
        .catch(() => {}); // the cut
      const until = Math.ceil((CUTS * (real + 1)) / REAL_CUTS);
      await waitFor(() => may.startsWith('lp_') || failed !== '');
      while (cuts < until) {
        // Most of an installation reads; every other cut comes in the midst of what it writes.
        if (cuts % 2 === 0) await delay(50 + random(2500));
        else await written(disk, 1 + random(8));
        assert.equal(failed, '', 'the guest must go on for ever');
        const image = join(folder, `cut-${cuts}`);
        const allowed = await frozen(guest, async () => {
          copyFileSync(disk, image);
          return may;
        });
        const boots = await bootsFrom(image, `root-${cuts}`);
        assert.ok(
          allowed.split(' ').includes(boots),
          `cut ${cuts} of seed ${seed}: ${boots} boots, and ${allowed} may`,
        );
        rmSync(image);
        seen.set(boots, (seen.get(boots) ?? 0) + 1);
        cuts++;
      }
    } finally {
      await guest.stop();
    }
  }
  console.log(`${series}: boots after ${cuts} cuts:`, Object.fromEntries(seen));
}

async function kills(series: (typeof kernels)[number]): Promise<void> {
  const guest = await bootSmall({ series, bootOptions: processorsFor(series) });
  try {
    const script = `for i in $(seq ${KILLS / 2}); do
  for next in lp_two lp_one; do
    timeout -s KILL $((RANDOM % 3)).$((RANDOM % 10)) kpatch install --downgrade ${LP}/$next.ko >/dev/null 2>&1
    kpatch install --downgrade ${LP}/$next.ko >/tmp/said 2>&1
    case $? in 0 | 3) ;; *) cat /tmp/said; exit 1 ;; esac
    kpatch verify || exit 1
  done
done`;
    const { status, output } = await guest.run(inside(script), { deadlineMs: KILLS * 60_000 });
    assert.equal(status, 0, output);
  } finally {
    await guest.stop();
  }
}

async function waitFor(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1200 && !condition(); i++) await delay(100);
  assert.ok(condition(), 'the guest did not begin');
}

/**
 * Waits until the guest has written to its disk so many times, as far as one can see; a guest that is done is not waited
 * for.
 */
async function written(disk: string, times: number): Promise<void> {
  const end = performance.now() + 20_000;
  for (let last = statSync(disk).mtimeMs, left = times; left > 0 && performance.now() < end; ) {
    await delay(1);
    const { mtimeMs } = statSync(disk);
    if (mtimeMs !== last) left--;
    last = mtimeMs;
  }
}

/** Runs `work` while the guest stands still. */
async function frozen<T>(guest: Guest, work: () => Promise<T>): Promise<T> {
  process.kill(guest.pid, 'SIGSTOP');
  try {
    await delay(20);
    return await work();
  } finally {
    process.kill(guest.pid, 'SIGCONT');
  }
}

/** The patch frees the memory it allocates and writes only where it may. For a boot with `slub_debug=FZPU`. */

import { testCommand } from '../input/test-script.ts';
import type { GuestCheck, Session } from '../run/check.ts';
import { ClaimFailed } from '../run/event.ts';
import { callersOf, type Growth, growth, lookAtMemory } from '../run/guest/held-memory.ts';
import { insert, takeOut, waitForTransition } from '../run/guest/livepatch.ts';

/** Runs of the test in a batch; a call site with half as many more objects after each batch leaks. */
const RUNS = 20;
const LEAST = RUNS / 2;

/** A leak shows in every batch. A cache fills only once; page counts vary by about 3. */
const BATCHES = 3;

/** Seconds to wait for deferred frees (RCU, work queues). */
const LATE_SECONDS = 3;

export const noLeak: GuestCheck = {
  id: 'no-leak',
  title: 'the new code leaks no memory',
  where: 'guest',
  applies: ({ test }) => test !== undefined,
  async *run(session) {
    yield {
      text: `all kernel allocations were counted by call site, before and after ${RUNS} runs of the author's test`,
    };
    const grown = await leaks(session);
    // A call site in the module belongs to the patch; elsewhere the test or the original code may leak as much.
    const own = keep(grown, (place) => place.endsWith(`[${session.subject.name}]`));
    const original: Growth = own.size > 0 || grown.size === 0 ? new Map() : await growthOfOriginal(session);
    const more = keep(grown, (place, count) => count - (original.get(place) ?? 0) >= LEAST * BATCHES);
    if (more.size > 0) throw await leak(session, more, 'is not freed by the patch or by the test');
    yield { text: 'no call site holds more for each run than with the original code' };
    if (grown.size > 0) yield { text: 'some call sites grow with both versions', detail: lines(grown), varies: true };
  },
};

/** Compared cycles of loading and unloading. */
const CYCLES = 4;

export const nothingLeft: GuestCheck = {
  id: 'nothing-left',
  title: 'loading and unloading it leaks no memory',
  where: 'guest',
  async *run(session) {
    const { subject } = session;
    const cycles = async (): Promise<void> => {
      for (let cycle = 0; cycle < CYCLES; cycle++) {
        await insert(session, subject);
        await waitForTransition(session, subject.name, 'patched');
        await takeOut(session, subject);
      }
    };
    yield {
      text: `all kernel allocations were counted by call site, before and after ${CYCLES} cycles of loading and unloading`,
    };
    const grown = await growthInEach(session, cycles, CYCLES);
    if (grown.size > 0) {
      throw await leak(session, grown, 'is not freed by unloading');
    }
    yield { text: 'no call site holds more for each cycle' };
  },
};

export const neighbours: GuestCheck = {
  id: 'neighbours',
  title: 'nothing was written outside allocated objects',
  where: 'guest',
  async *run(session) {
    const { output } = await session.sh(
      'n=0; for f in /sys/kernel/slab/*/validate; do echo 1 >$f 2>/dev/null && n=$((n + 1)); done; echo "checked $n"',
      { step: 'validate all slabs', deadlineMs: 120_000 },
    );
    const checked = Number(/checked (\d+)/.exec(output)?.[1] ?? 0);
    if (checked === 0) throw new ClaimFailed('this kernel does not check its slabs (slub_debug is off)', output);
    // The kernel reports an overwrite when it finds it: when the object is freed, or now.
    const log = (await session.sh('dmesg')).output;
    const at = log.search(/^.*BUG .*(overwritten|corrupt|Wrong|Invalid|inconsistent)/im);
    if (at >= 0) throw new ClaimFailed('a slab object was written beyond its end', log.slice(at, at + 4000));
    yield { text: 'red zones and poison of all slab caches are intact' };
    yield { text: `${checked} caches were checked`, varies: true };
  },
};

/** The call sites that hold more for each run of the author's test. */
async function leaks(session: Session): Promise<Growth> {
  await settle(session);
  return await growthInEach(session, () => runTest(session, RUNS), LEAST);
}

/** The same number of runs without the patch, which is unloaded for that and loaded again. */
async function growthOfOriginal(session: Session): Promise<Growth> {
  const { subject } = session;
  await takeOut(session, subject);
  await settle(session);
  await lookAtMemory(session, 0, LATE_SECONDS);
  await runTest(session, RUNS * BATCHES);
  await lookAtMemory(session, 1, LATE_SECONDS);
  const grown = await growth(session, 0, 1, 1);
  await insert(session, subject);
  await waitForTransition(session, subject.name, 'patched');
  return grown;
}

/** Runs the test and a measurement once, so that what they allocate for themselves is already there. */
async function settle(session: Session): Promise<void> {
  await runTest(session, 1);
  await lookAtMemory(session, 0);
}

/** The call sites that hold at least `least` more after each batch, even some time later, with their total growth. */
async function growthInEach(session: Session, batch: () => Promise<void>, least: number): Promise<Growth> {
  // Objects that still wait for RCU here (`struct file`) would hide as many that the first batch leaks.
  await lookAtMemory(session, 0, LATE_SECONDS);
  let grown: Growth | undefined;
  for (let at = 1; at <= BATCHES; at++) {
    await batch();
    await lookAtMemory(session, at, at === 1 ? undefined : LATE_SECONDS);
    const now = await growth(session, at - 1, at, least);
    grown = grown === undefined ? now : keep(grown, (place) => now.has(place));
    if (grown.size === 0) return grown;
  }
  const all = await growth(session, 0, BATCHES, least);
  return keep(all, (place) => grown!.has(place));
}

const keep = (grown: Growth, wanted: (place: string, count: number) => boolean): Growth =>
  new Map([...grown].filter(([place, count]) => wanted(place, count)));

/** Maximum number of call sites to search for the one that the patch leads to. */
const PLACES = 8;

interface Blamed {
  readonly place: string;
  readonly callers: string;
}

/** The place in the patch, else the first that the patch led to, else the first. */
async function toBlame(session: Session, grown: Growth): Promise<Blamed> {
  const mark = `[${session.subject.name}]`;
  const places = [...grown.keys()];
  const own = places.find((place) => place.endsWith(mark));
  let first: Blamed | undefined;
  for (const place of own === undefined ? places.slice(0, PLACES) : [own]) {
    const blamed = { place, callers: await callersOf(session, place) };
    if (blamed.callers.includes(mark)) return blamed;
    first ??= blamed;
  }
  return first!;
}

/** The failure: whom to blame, all places that grew, and who called. */
async function leak(session: Session, grown: Growth, problem: string): Promise<ClaimFailed> {
  const { name } = session.subject;
  const { place, callers } = await toBlame(session, grown);
  const caller = new RegExp(`(\\S+)\\+0x\\S+ \\[${name}\\]`).exec(callers)?.[1];
  const at = functionOf(place);
  const blamed = caller === undefined || at.includes(caller) ? at : `${at} for ${caller} [${name}]`;
  const chain = callers === '' ? '' : `\n\nallocated by\n${callers}`;
  return new ClaimFailed(`memory allocated in ${blamed} ${problem}`, `${lines(grown)}${chain}`);
}

/** `kstrdup` of `kstrdup+0x3c/0x70`. */
const functionOf = (place: string): string => place.replace(/\+0x\S+/, '').trim();

const lines = (grown: Growth): string => [...grown].map(([at, count]) => `${at}: ${count} more`).join('\n');

async function runTest(session: Session, runs: number): Promise<void> {
  const script = `for i in $(seq ${runs}); do ${testCommand('with')} >/dev/null 2>&1; done; true`;
  await session.sh(script, { step: `the test script, ${runs} times`, deadlineMs: 240_000 });
}

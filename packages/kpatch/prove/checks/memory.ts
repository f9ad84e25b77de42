/** The patch gives back what it takes, and writes nowhere but where it may. For a boot with `slub_debug=FZPU`. */

import { testCommand } from '../input/test-script.ts';
import type { GuestCheck, Session } from '../run/check.ts';
import { ClaimFailed } from '../run/event.ts';
import { callersOf, type Growth, growth, lookAtMemory } from '../run/held-memory.ts';
import { insert, takeOut, waitForTransition } from '../run/livepatch.ts';

/** Runs of the test in a batch; a place that holds half as many more after each batch leaks. */
const RUNS = 20;
const LEAST = RUNS / 2;

/** A leak shows in each of so many batches. What is cached fills once; pages go up and down by some 3. */
const BATCHES = 3;

/** Seconds in which what is freed late (by RCU, by a work queue) is freed. */
const LATE_SECONDS = 3;

export const noLeak: GuestCheck = {
  id: 'no-leak',
  title: 'calls of the new code leave no memory behind',
  where: 'guest',
  applies: ({ test }) => test !== undefined,
  async *run(session) {
    yield {
      text: `every allocation in the kernel was counted by its place, before and after ${RUNS} runs of the author's test`,
    };
    const grown = await leaks(session);
    // A place in the module is the patch's; anywhere else the test, or the original code, may leave as much.
    const own = keep(grown, (place) => place.endsWith(`[${session.subject.name}]`));
    const original: Growth = own.size > 0 || grown.size === 0 ? new Map() : await growthOfOriginal(session);
    const more = keep(grown, (place, count) => count - (original.get(place) ?? 0) >= LEAST * BATCHES);
    if (more.size > 0) throw await leak(session, more, 'is never freed, neither by the patch nor by the test');
    yield { text: 'no place holds more for each run than with the original code' };
    if (grown.size > 0) yield { text: 'with both versions some hold more', detail: lines(grown), varies: true };
  },
};

/** Cycles of loading and unloading that are compared. */
const CYCLES = 4;

export const nothingLeft: GuestCheck = {
  id: 'nothing-left',
  title: 'loading it and taking it out leaves no memory behind',
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
      text: `every allocation in the kernel was counted by its place, before and after ${CYCLES} cycles of load and unload`,
    };
    const grown = await growthInEach(session, cycles, CYCLES);
    if (grown.size > 0) {
      throw await leak(session, grown, 'is left after each unload');
    }
    yield { text: 'no place holds more for each cycle' };
  },
};

export const neighbours: GuestCheck = {
  id: 'neighbours',
  title: 'no memory next to what the code uses was written to',
  where: 'guest',
  async *run(session) {
    const { output } = await session.sh(
      'n=0; for f in /sys/kernel/slab/*/validate; do echo 1 >$f 2>/dev/null && n=$((n + 1)); done; echo "checked $n"',
      { step: 'validate all slabs', deadlineMs: 120_000 },
    );
    const checked = Number(/checked (\d+)/.exec(output)?.[1] ?? 0);
    if (checked === 0) throw new ClaimFailed('this kernel does not check its slabs (slub_debug is off)', output);
    // What was overwritten is printed when it is found: when the object is freed, or now.
    const log = (await session.sh('dmesg')).output;
    const at = log.search(/^.*BUG .*(overwritten|corrupt|Wrong|Invalid|inconsistent)/im);
    if (at >= 0) throw new ClaimFailed('a slab object was written beyond its end', log.slice(at, at + 4000));
    yield { text: 'red zones and poison of all slab caches are whole' };
    yield { text: `${checked} caches were checked`, varies: true };
  },
};

/** The places that hold more for each run of the author's test. */
async function leaks(session: Session): Promise<Growth> {
  await settle(session);
  return await growthInEach(session, () => runTest(session, RUNS), LEAST);
}

/** The same number of runs without the patch, which is taken out for it and put back. */
async function growthOfOriginal(session: Session): Promise<Growth> {
  const { subject } = session;
  await takeOut(session, subject);
  await settle(session);
  await lookAtMemory(session, 0);
  await runTest(session, RUNS * BATCHES);
  await lookAtMemory(session, 1, LATE_SECONDS);
  const grown = await growth(session, 0, 1, 1);
  await insert(session, subject);
  await waitForTransition(session, subject.name, 'patched');
  return grown;
}

/** What the test and a look at memory need for themselves is there from now on. */
async function settle(session: Session): Promise<void> {
  await runTest(session, 1);
  await lookAtMemory(session, 0);
}

/** The places that hold at least `least` more after each batch, and still do some time later; what they hold in all. */
async function growthInEach(session: Session, batch: () => Promise<void>, least: number): Promise<Growth> {
  await lookAtMemory(session, 0);
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

/** So many places are looked at for the one that the patch leads to. */
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

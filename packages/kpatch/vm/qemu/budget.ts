/**
 * How many guests may run at once. Each running guest of this user has a file that says how much memory it was promised;
 * a new one starts when its memory fits beside what is free and what the others have not touched yet, and when there are
 * not more guests than cores plus one (more would only make all of them miss their deadlines). Those that wait start in the order
 * in which they came, whatever process they belong to: one that starts a guest after the other does not keep the rest waiting.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { failure } from '../../base/errors/error.ts';
import { interrupted, onExit } from '../../base/process/cleanup.ts';
import { lock } from '../../base/process/lock.ts';
import type { DocumentOf } from '../../documents/form.ts';
import { keptDocument } from '../../documents/kept.ts';
import { stateFolder } from './state.ts';

/** Memory that stays free on this machine, MiB. */
const RESERVE_MIB = 256;

/** One that waits looks much more often than this, also on a busy machine. */
const STOPPED_MS = 30_000;

export interface MemoryPlace {
  /** Tells the process that holds the memory, so that what it has touched is not counted twice. */
  occupy(pid: number): void;
  release(): void;
}

type Promised = DocumentOf<'kpatch.guest-memory'>;

let counter = 0;

/**
 * Waits until a guest of `mib` MiB may start and takes its place.
 * `folder` is where the guests are known. Errors: `guest-memory` when it could not even start alone, or not within `waitMs`; `interrupted`.
 */
export async function takePlace(
  mib: number,
  waitMs = 1_200_000,
  onWait?: () => void,
  folder = stateFolder(),
): Promise<MemoryPlace> {
  const since = Date.now();
  let ticket: Entry | undefined;
  try {
    for (;;) {
      const place = await tryPlace(folder, mib, Date.now() >= since + waitMs, ticket);
      if (place !== undefined) return place;
      const waits = { mib, since, looked: Date.now() };
      if (ticket === undefined) onWait?.();
      if (ticket === undefined) ticket = enter(folder, 'waiting', waits);
      else ticket.update(waits);
      await delay(300);
      if (interrupted.aborted) throw failure('interrupted', { signal: String(interrupted.reason) });
    }
  } finally {
    ticket?.remove();
  }
}

async function tryPlace(folder: string, mib: number, last: boolean, ticket?: Entry): Promise<MemoryPlace | undefined> {
  const held = await lock(join(folder, 'lock'), 'the list of virtual machines', { waitMs: 60_000 });
  try {
    const others = [...entries(folder, 'guest').values()];
    const turn = [undefined, ticket?.path].includes(firstOfQueue(folder));
    const untouched = others.reduce((sum, { mib: promised, pid }) => sum + Math.max(0, promised - residentMiB(pid)), 0);
    const available = Math.max(0, availableMiB() - RESERVE_MIB - untouched);
    if (turn && mib <= available && others.length <= availableParallelism()) return register(folder, mib);
    if (last || (others.length === 0 && mib > available)) throw failure('guest-memory', { needed: mib, available });
    return undefined;
  } finally {
    held.release();
  }
}

/** The next in line. A stopped process does not block the others. */
function firstOfQueue(folder: string): string | undefined {
  const waiting = [...entries(folder, 'waiting')].filter(([, { looked = 0 }]) => looked > Date.now() - STOPPED_MS);
  return waiting.sort(([, a], [, b]) => (a.since ?? 0) - (b.since ?? 0))[0]?.[0];
}

function register(folder: string, mib: number): MemoryPlace {
  const { update, remove } = enter(folder, 'guest', { mib });
  return { occupy: (pid) => update({ mib, pid }), release: remove };
}

interface Entry {
  readonly path: string;
  update(facts: Facts): void;
  remove(): void;
}

type Facts = Omit<Promised, 'owner' | 'ownerStart'>;

/** Writes a file of this process that says what it has or waits for; it goes with the process at the latest. */
function enter(folder: string, kind: 'guest' | 'waiting', facts: Facts): Entry {
  const path = join(folder, `${kind}-${process.pid}-${++counter}.json`);
  const owner = { owner: process.pid, ownerStart: startOf(process.pid) ?? '' };
  const update = (now: Facts): void => writeFileSync(path, JSON.stringify({ ...owner, ...now } satisfies Promised));
  update(facts);
  const forget = onExit(() => rmSync(path, { force: true }));
  return {
    path,
    update,
    remove() {
      forget();
      rmSync(path, { force: true });
    },
  };
}

/** The entries whose owner still lives, by path; those of dead ones (their guests died with them) are removed. */
function entries(folder: string, kind: 'guest' | 'waiting'): Map<string, Promised> {
  const all = new Map<string, Promised>();
  for (const name of readdirSync(folder)) {
    if (!new RegExp(`^${kind}-\\d+-\\d+\\.json$`).test(name)) continue;
    const path = join(folder, name);
    const promised = keptDocument('kpatch.guest-memory', path);
    if (promised !== undefined && startOf(promised.owner) === promised.ownerStart) all.set(path, promised);
    else rmSync(path, { force: true });
  }
  return all;
}

/** The time a process started, in ticks since boot (proc(5), field 22 of stat): with its number it names one process. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function residentMiB(pid: number | undefined): number {
  if (pid === undefined) return 0;
  try {
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

function availableMiB(): number {
  const text = readFileSync('/proc/meminfo', 'utf8');
  return Math.floor(Number(/^MemAvailable:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) / 1024);
}

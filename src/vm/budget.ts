/**
 * How many guests may run at once. Each running guest of this user has a file that says how much memory it was promised;
 * a new one starts when its memory fits beside what is free and what the others have not touched yet, and when there are
 * not more guests than cores plus one (more would only make all of them miss their deadlines).
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fail } from '../errors/error.ts';
import { interrupted, onExit } from '../util/cleanup.ts';
import { lock } from '../util/lock.ts';
import { stateFolder } from './state.ts';

/** Memory that stays free on this machine, MiB. */
const RESERVE_MIB = 256;

export interface Place {
  /** Tells the process that holds the memory, so that what it has touched is not counted twice. */
  occupy(pid: number): void;
  release(): void;
}

interface Promised {
  readonly owner: number;
  readonly ownerStart: string;
  readonly mib: number;
  readonly pid?: number;
}

let counter = 0;

/**
 * Waits until a guest of `mib` MiB may start and takes its place.
 * Errors: `guest-memory` when it could not even start alone, or not within `waitMs`; `interrupted`.
 */
export async function takePlace(mib: number, waitMs = 1_200_000, onWait?: () => void): Promise<Place> {
  const folder = stateFolder();
  const end = Date.now() + waitMs;
  for (let waited = false; ; waited = true) {
    const place = await tryPlace(folder, mib, Date.now() >= end);
    if (place !== undefined) return place;
    if (!waited) onWait?.();
    await delay(300);
    if (interrupted.aborted) throw fail('interrupted', { signal: String(interrupted.reason) });
  }
}

async function tryPlace(folder: string, mib: number, last: boolean): Promise<Place | undefined> {
  const held = await lock(join(folder, 'lock'), 'the list of virtual machines', { waitMs: 60_000 });
  try {
    const others = running(folder);
    const untouched = others.reduce((sum, { mib: promised, pid }) => sum + Math.max(0, promised - residentMiB(pid)), 0);
    const available = Math.max(0, availableMiB() - RESERVE_MIB - untouched);
    if (mib <= available && others.length <= availableParallelism()) return register(folder, mib);
    if (last || (others.length === 0 && mib > available)) throw fail('guest-memory', { needed: mib, available });
    return undefined;
  } finally {
    held.release();
  }
}

function register(folder: string, mib: number): Place {
  const path = join(folder, `guest-${process.pid}-${++counter}.json`);
  const promised: Promised = { owner: process.pid, ownerStart: startOf(process.pid) ?? '', mib };
  writeFileSync(path, JSON.stringify(promised));
  const remove = (): void => rmSync(path, { force: true });
  const forget = onExit(remove);
  return {
    occupy: (pid) => writeFileSync(path, JSON.stringify({ ...promised, pid })),
    release() {
      forget();
      remove();
    },
  };
}

/** The promises whose owner still lives; those of dead ones (their guests died with them) are removed. */
function running(folder: string): Promised[] {
  const all: Promised[] = [];
  for (const name of readdirSync(folder)) {
    if (!/^guest-\d+-\d+\.json$/.test(name)) continue;
    const path = join(folder, name);
    try {
      const promised = JSON.parse(readFileSync(path, 'utf8')) as Promised;
      if (startOf(promised.owner) === promised.ownerStart && Number.isFinite(promised.mib)) all.push(promised);
      else rmSync(path, { force: true });
    } catch {
      rmSync(path, { force: true });
    }
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

/**
 * The boot guard. Before patches are loaded at boot a marker is written; a timer clears it once the system has been up, and
 * so does an orderly shutdown. A marker that is still there at the next boot means that the boot was lost. Why, the guard
 * decides on evidence: a crash record whose trace names a patch blocks that patch until the user says otherwise. A lost
 * boot without one can be a reset button or a power cut, so patches are tried again; several in a row block them, but only
 * for a time, and not if the machine is lost without them too. So pressing the reset button cannot remove a fix permanently.
 */
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import { formProblem, storedDocument } from '../../documents/form.ts';
import { attribute } from '../machine/attribute.ts';
import type { Machine } from '../machine/machine.ts';
import { folderOf, type InstalledPatch, installedPatches, makeFolder } from '../store/store.ts';
import { crashEvidence } from './crash-evidence.ts';
import type { BlockedPatch, EndedBoot, Guard, GuardedPatch, LostBoot } from './guard-state.ts';

export type { BlockedPatch, EndedBoot, Guard, GuardedPatch, LostBoot } from './guard-state.ts';

/** What a boot may load. */
export interface BootVerdict {
  /** Not to be loaded: boots with them were lost. */
  readonly blocked: readonly BlockedPatch[];
  /** Not to be loaded: the marker cannot be written, and no boot with them was survived yet. */
  readonly unguarded: readonly GuardedPatch[];
  /** Why the marker cannot be written; absent if it is. */
  readonly unwritable?: unknown;
  /** The boot before, where it was lost. */
  readonly lost?: LostBoot;
}

/** Lost boots with a patch, within WINDOW_MS and without a survived one in between, until it is blocked. */
export const ATTEMPTS = 3;
const HOUR_MS = 3_600_000;
const WINDOW_MS = 24 * HOUR_MS;
/** So long an update leaves a patch alone whose boot was lost. Short enough for ATTEMPTS within WINDOW_MS, so that a block can follow. */
const RETRY_MS = 6 * HOUR_MS;
/** So long a boot that ended badly is reported: hosts of a fleet report once a day at least. */
const REPORTED_MS = 2 * WINDOW_MS;
const MOST_ENDED = 16;
/** A block without evidence lasts a day, then two, then four, at most a week. */
const LONGEST_BLOCK_MS = 7 * WINDOW_MS;

const NAME = '.boot.json';

/** The guard's state for a release; empty if there is none. A file that cannot be understood counts as none. */
export function readGuard(machine: Machine, release: string): Guard {
  const none: Guard = { schema: 'kpatch.boot/1', blocked: [] };
  try {
    return storedDocument('kpatch.boot/1', JSON.parse(attribute(join(folderOf(machine, release), NAME)) ?? ''));
  } catch {
    return none;
  }
}

/**
 * Begins a boot: looks at how the last one ended and marks what this one is about to try. Where the marker cannot be
 * written (a full or read-only disk), what has survived a boot before may still be loaded: it is known not to crash this
 * machine, and without it the kernel would run unfixed. With `isWatched` it notes a boot without patches too. Never throws.
 */
export function beginBoot(
  machine: Machine,
  release: string,
  bootId: string,
  patches: readonly GuardedPatch[],
  isWatched = false,
): BootVerdict {
  const before = readGuard(machine, release);
  const now = machine.clock.date();
  const { end, ...state } = stateAfter(machine, before, bootId, patches, now);
  const lost = end !== undefined && end.survived !== true ? end : undefined;
  const blocked = state.blocked.filter((other) => isBlocked(other, now) && patches.some((patch) => same(patch, other)));
  const tried = patches.filter((patch) => !blocked.some((other) => same(patch, other)));
  // A boot without its patches is watched too: whether it is lost as well tells what they have to do with it.
  const trying = { bootId, at: now.toISOString(), patches: tried };
  const up = before.up?.bootId === bootId ? { up: before.up } : {};
  const guard: Guard = { schema: 'kpatch.boot/1', trying, ...state, ...up };
  const found = lost === undefined ? {} : { lost };
  try {
    if (patches.length > 0 || isWatched || end !== undefined) write(machine, release, guard);
    return { blocked, unguarded: [], ...found };
  } catch (unwritable) {
    const known = (patch: GuardedPatch): boolean => (before.survived ?? []).some((other) => same(patch, other));
    return { blocked, unguarded: tried.filter((patch) => !known(patch)), unwritable, ...found };
  }
}

/**
 * Another kernel runs now, so the boot that the guard of `release` still waits for has ended: notes how, and tries nothing. Without this it
 * would be noted when that kernel boots again, which may be never. `patches` are those that boots of `release` load.
 * Gives the boot if it ended badly. Errors: `disk-full`, `file-unwritable`.
 */
export function endOtherBoot(
  machine: Machine,
  release: string,
  bootId: string,
  patches: readonly GuardedPatch[],
): EndedBoot | undefined {
  const { end, ...state } = stateAfter(machine, readGuard(machine, release), bootId, patches, machine.clock.date());
  if (end !== undefined) write(machine, release, { schema: 'kpatch.boot/1', ...state });
  return end;
}

/**
 * The machine has been up with its patches: what was counted against them is forgotten. What was counted against others is not, or an
 * update that crashes the machine at each attempt would never be blocked. Errors: `disk-full`, `file-unwritable`.
 */
export function bootSurvived(machine: Machine, release: string): boolean {
  const { trying, lost: before = [], ...guard } = readGuard(machine, release);
  if (trying === undefined) return false;
  const lost = before.flatMap((one) => {
    const patches = one.patches.filter((patch) => !trying.patches.some((other) => same(patch, other)));
    return patches.length === 0 ? [] : { ...one, patches };
  });
  const cleared = guard.blocked.filter((other) => !trying.patches.some((patch) => same(patch, other)));
  const survived = trying.patches.length > 0 ? trying.patches : (guard.survived ?? []);
  const up = guard.up?.bootId === trying.bootId ? guard.up : { bootId: trying.bootId, at: trying.at };
  write(machine, release, { ...guard, blocked: cleared, survived, lost, up });
  return true;
}

/** The machine goes down in order: its next boot finds nothing to wonder about. Errors: `disk-full`, `file-unwritable`. */
export function bootEnds(machine: Machine, release: string): void {
  const { up, ...guard } = readGuard(machine, release);
  if (up !== undefined) write(machine, release, guard);
}

/**
 * Begins a trial in the middle of a boot: an update is about to load `patches`, and nobody watches. If the machine is lost from
 * now on, the next boot holds that against them. Gives what ends the trial if the load fails without harm.
 * Errors: `disk-full`, `file-unwritable`.
 */
export function beginTrial(
  machine: Machine,
  release: string,
  bootId: string,
  patches: readonly GuardedPatch[],
): () => void {
  const before = readGuard(machine, release);
  write(machine, release, {
    ...before,
    trying: { bootId, at: machine.clock.date().toISOString(), patches: [...patches] },
  });
  return () => {
    const { trying: _, ...guard } = readGuard(machine, release);
    write(machine, release, before.trying === undefined ? guard : { ...guard, trying: before.trying });
  };
}

/**
 * Watches the rest of this boot, with whatever runs in it: if it does not end in order, the next boot notes that. It blocks nothing.
 * Errors: `disk-full`, `file-unwritable`.
 */
export function watchBoot(machine: Machine, release: string, bootId: string): void {
  const guard = readGuard(machine, release);
  if (guard.trying?.bootId === bootId || guard.up?.bootId === bootId) return;
  write(machine, release, { ...guard, up: { bootId, at: machine.clock.date().toISOString() } });
}

/** Nobody asks any more how boots without patches end: removes the guard's file if it holds nothing else. */
export function forgetBoots(machine: Machine, release: string): void {
  const { trying, blocked, survived = [] } = readGuard(machine, release);
  if (blocked.length + survived.length + (trying?.patches.length ?? 0) > 0) return;
  const folder = folderOf(machine, release);
  if (installedPatches(machine, release).length > 0) return;
  rmSync(join(folder, NAME), { force: true });
  if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
}

/** True if the guard remembers a boot that has not ended in order. */
export function guardWaits(machine: Machine, release: string): boolean {
  const { trying, up } = readGuard(machine, release);
  return trying !== undefined || up !== undefined;
}

/** Lets blocked patches be loaded again: all of a release, or those that `which` takes. Gives which. */
export function unblock(
  machine: Machine,
  release: string,
  which: (patch: BlockedPatch) => boolean = () => true,
): BlockedPatch[] {
  const guard = readGuard(machine, release);
  const freed = guard.blocked.filter(which);
  if (freed.length > 0) {
    const lost = (guard.lost ?? []).filter(({ patches }) => !patches.some((one) => freed.some((f) => same(f, one))));
    write(machine, release, { ...guard, blocked: guard.blocked.filter((patch) => !freed.includes(patch)), lost });
  }
  return freed;
}

/** The installed patches that the guard keeps from being loaded at boot. */
export function blockedAmong(machine: Machine, release: string, patches: readonly InstalledPatch[]): BlockedPatch[] {
  return blockedNow(machine, release).filter((other) =>
    patches.some((patch) => patch.name === other.name && (patch.sha256 ?? other.sha256) === other.sha256),
  );
}

/** The block on a module's bytes, whether it is installed or not; `undefined` where there is none. Never throws. */
export function blockedByGuard(machine: Machine, release: string, digest: string): BlockedPatch | undefined {
  return blockedNow(machine, release).find(({ sha256 }) => sha256 === digest);
}

/**
 * When the boot was lost that tried a module's bytes last, and until when no update tries them again: most likely they crashed the
 * machine, and in a fleet it takes minutes until the rollout is halted. `undefined` where an update may try. Never throws.
 */
export function updateWaits(
  machine: Machine,
  release: string,
  digest: string,
): { readonly at: string; readonly until: string } | undefined {
  const last = (readGuard(machine, release).lost ?? [])
    .filter(({ patches }) => patches.some(({ sha256 }) => sha256 === digest))
    .at(-1);
  if (last === undefined) return undefined;
  const until = new Date(Date.parse(last.noticed) + RETRY_MS).toISOString();
  return isBlocked({ at: last.noticed, until }, machine.clock.date()) ? { at: last.at, until } : undefined;
}

/** Everything that is blocked now, installed or not. Never throws. */
export function blockedNow(machine: Machine, release: string): BlockedPatch[] {
  const now = machine.clock.date();
  return readGuard(machine, release).blocked.filter((patch) => isBlocked(patch, now));
}

/** True if the guard's file is there but cannot be understood. */
export function guardDamaged(machine: Machine, release: string): boolean {
  const path = join(folderOf(machine, release), NAME);
  if (!existsSync(path)) return false;
  try {
    return formProblem('kpatch.boot/1', JSON.parse(attribute(path) ?? '')) !== undefined;
  } catch {
    return true;
  }
}

interface StateAfter extends Required<Pick<Guard, 'blocked' | 'survived' | 'lost' | 'ended'>> {
  /** The boot before, where it did not end in order. */
  readonly end: EndedBoot | undefined;
}

/** What the guard knows once a boot has begun after the one that it waits for. */
function stateAfter(
  machine: Machine,
  before: Guard,
  bootId: string,
  patches: readonly GuardedPatch[],
  now: Date,
): StateAfter {
  const trial = lostBoot(machine, before, bootId, now);
  const lost = recentlyLost(before, trial, now);
  const blocked = trial === undefined ? before.blocked : blocksAfter(before.blocked, trial, lost, now);
  const survived = (before.survived ?? []).filter((patch) => !trial?.patches.some((other) => same(patch, other)));
  const end = trial ?? endOfSurvived(machine, before, bootId, patches, now);
  const ended = [...(before.ended ?? []), ...(end === undefined ? [] : [end])]
    .filter(({ noticed }) => Math.abs(now.getTime() - Date.parse(noticed)) <= REPORTED_MS)
    .slice(-MOST_ENDED);
  return { blocked, survived, lost, ended, end };
}

/** The boot before, where nothing ended its trial. */
function lostBoot(machine: Machine, { trying }: Guard, bootId: string, now: Date): LostBoot | undefined {
  return trying === undefined || trying.bootId === bootId ? undefined : endOf(machine, trying, now);
}

/** How a boot ended that did not end in order. */
function endOf(machine: Machine, boot: NonNullable<Guard['trying']>, now: Date): LostBoot {
  const since = new Date(boot.at);
  const { file, modules } = crashEvidence(machine, Number.isNaN(since.getTime()) ? now : since);
  const named = boot.patches.filter(({ name }) => modules.includes(name)).map(({ name }) => name);
  const record = file === undefined ? {} : { record: file };
  return { ...boot, noticed: now.toISOString(), named, ...record };
}

/** The boot before, where it had survived its trial and did not end in order. What is installed is what ran. */
function endOfSurvived(
  machine: Machine,
  { up }: Guard,
  bootId: string,
  patches: readonly GuardedPatch[],
  now: Date,
): EndedBoot | undefined {
  if (up === undefined || up.bootId === bootId) return undefined;
  return { ...endOf(machine, { ...up, patches: [...patches] }, now), survived: true };
}

/** Lost boots that count. One that was lost without any patch is their alibi: what was counted before it is void. */
function recentlyLost({ lost: before = [] }: Guard, lost: LostBoot | undefined, now: Date): LostBoot[] {
  const all = lost === undefined ? before : lost.patches.length === 0 ? [lost] : [...before, lost];
  return all.filter((one) => isRecent(one, now));
}

/** Every block, after a boot was lost. */
function blocksAfter(
  before: readonly BlockedPatch[],
  lost: LostBoot,
  recent: readonly LostBoot[],
  now: Date,
): BlockedPatch[] {
  // What was blocked on suspicion has an alibi (see above).
  if (lost.patches.length === 0) return before.filter((patch) => patch.until === undefined);
  const blocked = new Map(before.map((patch) => [key(patch), patch]));
  for (const patch of lost.patches) {
    const old = blocked.get(key(patch));
    const block = blockOf(patch, old, lost, recent, now);
    if (block !== undefined) blocked.set(key(patch), block);
  }
  return [...blocked.values()];
}

function blockOf(
  { name, sha256 }: GuardedPatch,
  old: BlockedPatch | undefined,
  lost: LostBoot,
  recent: readonly LostBoot[],
  now: Date,
): BlockedPatch | undefined {
  const base = { name, sha256, at: lost.at };
  if (lost.named.includes(name)) return { ...base, why: `the crash record ${lost.record} names it` };
  const attempts = recent.filter(({ patches }) => patches.some((patch) => same(patch, { name, sha256 }))).length;
  // One that was blocked before and failed its new trial need not fail three times again.
  if (attempts < ATTEMPTS && old === undefined) return undefined;
  const times = (old?.times ?? 0) + 1;
  const until = new Date(now.getTime() + Math.min(WINDOW_MS * 2 ** (times - 1), LONGEST_BLOCK_MS)).toISOString();
  const again = old === undefined ? `${attempts} boots with it within a day` : 'its new trial';
  const record =
    lost.record === undefined ? 'no crash record was found' : `the crash record ${lost.record} does not name it`;
  return { ...base, until, times, why: `${again} ended within minutes; ${record}` };
}

/** A clock that went back must not hold a fix back. */
function isBlocked({ until, at }: Pick<BlockedPatch, 'until' | 'at'>, now: Date): boolean {
  if (until === undefined) return true;
  return now.getTime() < Date.parse(until) && now.getTime() >= Date.parse(at) - HOUR_MS;
}

function isRecent({ noticed }: LostBoot, now: Date): boolean {
  return Math.abs(now.getTime() - Date.parse(noticed)) <= WINDOW_MS;
}

function write(machine: Machine, release: string, guard: Guard): void {
  // The folder is not there before the first patch is installed.
  writeAtomically(join(makeFolder(machine, release), NAME), `${JSON.stringify(guard, null, 1)}\n`);
}

const key = ({ name, sha256 }: GuardedPatch): string => `${name} ${sha256}`;

function same(a: GuardedPatch, b: GuardedPatch): boolean {
  return key(a) === key(b);
}

/**
 * The boot guard. Before patches are loaded at boot a marker is written; a timer clears it once the system has been up, and
 * so does an orderly shutdown. A marker that is still there at the next boot means that the machine did not survive: the
 * patches it names are not loaded again until a person says so.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import { attribute } from '../machine/attribute.ts';
import type { Machine } from '../machine/machine.ts';
import { folderOf, type InstalledPatch } from '../store/store.ts';

/** A patch as the guard knows it: the same name with other content is another patch. */
export interface GuardedPatch {
  readonly name: string;
  readonly sha256: string;
}

export interface BlockedPatch extends GuardedPatch {
  /** When the boot began that the machine did not survive, ISO 8601. */
  readonly at: string;
}

export interface Guard {
  readonly schema: 'kpatch.boot/1';
  /** The boot that tries its patches now; absent once it has survived. */
  readonly trying?: { readonly bootId: string; readonly at: string; readonly patches: readonly GuardedPatch[] };
  readonly blocked: readonly BlockedPatch[];
  /** The patches of the last boot that this machine survived. */
  readonly survived?: readonly GuardedPatch[];
}

/** What a boot may load. */
export interface BootVerdict {
  /** Not to be loaded: the machine did not survive a boot with them. */
  readonly blocked: readonly BlockedPatch[];
  /** Not to be loaded: the marker cannot be written, and no boot with them was survived yet. */
  readonly unguarded: readonly GuardedPatch[];
  /** Why the marker cannot be written; absent where it is. */
  readonly unwritable?: unknown;
}

const NAME = '.boot.json';

/** The guard's state for a release; empty where there is none. A file that cannot be understood counts as none. */
export function readGuard(machine: Machine, release: string): Guard {
  const none: Guard = { schema: 'kpatch.boot/1', blocked: [] };
  const text = attribute(join(folderOf(machine, release), NAME));
  if (text === undefined) return none;
  try {
    const value: unknown = JSON.parse(text);
    return isGuard(value) ? value : none;
  } catch {
    return none;
  }
}

/**
 * Begins a boot: blocks what the last one did not survive and marks what this one is about to try. Where the marker cannot
 * be written (a full or read-only disk), what has survived a boot before may still be loaded: it is known not to crash this
 * machine, and without it the kernel would run unfixed. Never fails.
 */
export function beginBoot(
  machine: Machine,
  release: string,
  bootId: string,
  patches: readonly GuardedPatch[],
): BootVerdict {
  const before = readGuard(machine, release);
  const { trying, survived = [] } = before;
  const failed = trying === undefined || trying.bootId === bootId ? [] : trying.patches;
  const all = merge(
    before.blocked,
    failed.map((patch) => ({ ...patch, at: trying?.at ?? '' })),
  );
  const tried = patches.filter((patch) => !all.some((other) => same(patch, other)));
  const blocked = all.filter((other) => patches.some((patch) => same(patch, other)));
  const guard: Guard = {
    schema: 'kpatch.boot/1',
    ...(tried.length === 0 ? {} : { trying: { bootId, at: machine.clock.date().toISOString(), patches: tried } }),
    blocked: all,
    survived: survived.filter((patch) => !failed.some((other) => same(patch, other))),
  };
  try {
    if (tried.length > 0 || failed.length > 0) write(machine, release, guard);
    return { blocked, unguarded: [] };
  } catch (unwritable) {
    const known = (patch: GuardedPatch): boolean => survived.some((other) => same(patch, other));
    return { blocked, unguarded: tried.filter((patch) => !known(patch)), unwritable };
  }
}

/** The machine has been up with its patches. Errors: `disk-full`, `file-unwritable`. */
export function bootSurvived(machine: Machine, release: string): boolean {
  const { trying, ...guard } = readGuard(machine, release);
  if (trying === undefined) return false;
  write(machine, release, { ...guard, survived: trying.patches });
  return true;
}

/** Lets blocked patches be loaded again: all of a release, or the one named. Says which. */
export function unblock(machine: Machine, release: string, name?: string): BlockedPatch[] {
  const guard = readGuard(machine, release);
  const freed = guard.blocked.filter((patch) => name === undefined || patch.name === name);
  if (freed.length > 0)
    write(machine, release, { ...guard, blocked: guard.blocked.filter((patch) => !freed.includes(patch)) });
  return freed;
}

/** The installed patches that the guard keeps from being loaded at boot. */
export function blockedAmong(machine: Machine, release: string, patches: readonly InstalledPatch[]): BlockedPatch[] {
  const { blocked } = readGuard(machine, release);
  return blocked.filter((other) =>
    patches.some((patch) => patch.name === other.name && (patch.sha256 ?? other.sha256) === other.sha256),
  );
}

/** True where the guard's file is there but cannot be understood. */
export function guardDamaged(machine: Machine, release: string): boolean {
  const path = join(folderOf(machine, release), NAME);
  if (!existsSync(path)) return false;
  try {
    return !isGuard(JSON.parse(attribute(path) ?? ''));
  } catch {
    return true;
  }
}

function write(machine: Machine, release: string, guard: Guard): void {
  writeAtomically(join(folderOf(machine, release), NAME), `${JSON.stringify(guard, null, 1)}\n`);
}

function same(a: GuardedPatch, b: GuardedPatch): boolean {
  return a.name === b.name && a.sha256 === b.sha256;
}

function merge(before: readonly BlockedPatch[], more: readonly BlockedPatch[]): BlockedPatch[] {
  return [...before.filter((old) => !more.some((patch) => same(old, patch))), ...more];
}

function isGuard(value: unknown): value is Guard {
  const guard = value as Guard | null;
  if (typeof guard !== 'object' || guard === null || guard.schema !== 'kpatch.boot/1') return false;
  const patches = (list: unknown): boolean =>
    Array.isArray(list) &&
    list.every(
      (patch: GuardedPatch | null) =>
        typeof patch?.name === 'string' && typeof (patch as GuardedPatch).sha256 === 'string',
    );
  const { trying, survived = [] } = guard;
  if (!patches(guard.blocked) || !patches(survived)) return false;
  return (
    trying === undefined ||
    (typeof trying.bootId === 'string' && typeof trying.at === 'string' && patches(trying.patches))
  );
}

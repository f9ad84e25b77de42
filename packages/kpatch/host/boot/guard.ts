/**
 * The boot guard. It writes a marker before patches are loaded at boot. A timer clears the marker when the system has been up
 * for a while; so does a clean shutdown. If the marker still exists at the next boot, the machine did not survive: the
 * patches named in it are blocked until an administrator unblocks them.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import { attribute } from '../machine/attribute.ts';
import type { Machine } from '../machine/machine.ts';
import { folderOf, type InstalledPatch } from '../store/store.ts';

/** A patch is identified by its content: the same name with other content is another patch. */
export interface GuardedPatch {
  readonly name: string;
  readonly sha256: string;
}

export interface BlockedPatch extends GuardedPatch {
  /** Start of the boot that the machine did not survive, ISO 8601. */
  readonly at: string;
}

export interface Guard {
  readonly schema: 'kpatch.boot/1';
  /** The boot whose patches are on trial; absent when it has survived. */
  readonly trying?: { readonly bootId: string; readonly at: string; readonly patches: readonly GuardedPatch[] };
  readonly blocked: readonly BlockedPatch[];
  /** The patches of the last boot that the machine survived. */
  readonly survived?: readonly GuardedPatch[];
}

/** The patches that this boot may load. */
export interface BootVerdict {
  /** Blocked: the machine did not survive a boot with them. */
  readonly blocked: readonly BlockedPatch[];
  /** Held back: the marker cannot be written and the machine has not survived a boot with them yet. */
  readonly unguarded: readonly GuardedPatch[];
  /** Why the marker could not be written; absent on success. */
  readonly unwritable?: unknown;
}

const NAME = '.boot.json';

/** The state of the guard for a release; empty if there is none or the file is damaged. */
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
 * Starts a boot: blocks the patches that the last one did not survive and marks those that this one is about to load. If the
 * marker cannot be written (full or read-only disk), patches that survived a boot before may still be loaded: they do not
 * crash this machine, and without them the kernel would run unfixed. Never throws.
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

/** Marks this boot as survived. Errors: `disk-full`, `file-unwritable`. */
export function bootSurvived(machine: Machine, release: string): boolean {
  const { trying, ...guard } = readGuard(machine, release);
  if (trying === undefined) return false;
  write(machine, release, { ...guard, survived: trying.patches });
  return true;
}

/** Unblocks all patches of a release, or the named one. Returns the unblocked patches. */
export function unblock(machine: Machine, release: string, name?: string): BlockedPatch[] {
  const guard = readGuard(machine, release);
  const freed = guard.blocked.filter((patch) => name === undefined || patch.name === name);
  if (freed.length > 0)
    write(machine, release, { ...guard, blocked: guard.blocked.filter((patch) => !freed.includes(patch)) });
  return freed;
}

/** The installed patches that the guard blocks at boot. */
export function blockedAmong(machine: Machine, release: string, patches: readonly InstalledPatch[]): BlockedPatch[] {
  const { blocked } = readGuard(machine, release);
  return blocked.filter((other) =>
    patches.some((patch) => patch.name === other.name && (patch.sha256 ?? other.sha256) === other.sha256),
  );
}

/** True if the file of the guard exists but is damaged. */
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

/**
 * What the store remembers of acceptance. It is brought up to date while the policy can be read, so that a boot at which it
 * cannot be read loads exactly what was accepted under the last valid policy.
 */
import { KpatchError } from '../../base/errors/error.ts';
import type { Machine } from '../machine/machine.ts';
import { changeIndex, type InstalledPatch, indexDamaged, installedPatches, readInstalled } from '../store/store.ts';
import type { Acceptance } from '../store/store-index.ts';
import { admit } from './acceptance.ts';
import { readPolicyState } from './policy.ts';

/** How today's policy judges an installed patch. */
export interface Judgement {
  readonly patch: InstalledPatch;
  /** As it would be recorded; absent if it is refused. */
  readonly acceptance: Acceptance | undefined;
  readonly alarms: readonly string[];
  readonly refusal: KpatchError | undefined;
}

/** Judges every patch that is installed for a release. Changes nothing, never fails. */
export function judgeInstalled(machine: Machine, release: string): Judgement[] {
  return installedPatches(machine, release).map((patch) => {
    try {
      const { acceptance, alarms } = admit(machine, readInstalled(patch), { unattended: false });
      return { patch, acceptance, alarms, refusal: undefined };
    } catch (error) {
      if (!(error instanceof KpatchError)) throw error;
      return { patch, acceptance: undefined, alarms: [], refusal: error };
    }
  });
}

/**
 * Records how the installed patches are judged now. Where the policy cannot be read, or the disk not written, nothing
 * changes.
 */
export function refreshAcceptances(machine: Machine, release: string): void {
  if (indexDamaged(machine, release)) return;
  const state = readPolicyState(machine);
  if (state.kind === 'unusable') return;
  const digest = state.kind === 'valid' ? state.policy.digest : 'none';
  const installed = installedPatches(machine, release);
  if (installed.every(({ acceptance, sha256 }) => sha256 === undefined || acceptance?.policy === digest)) return;
  const judged = new Map(judgeInstalled(machine, release).map((one) => [one.patch.file, one]));
  try {
    changeIndex(machine, release, (index) => ({
      ...index,
      entries: index.entries.map((entry) => {
        const now = judged.get(entry.file);
        if (now?.acceptance !== undefined) return { ...entry, acceptance: now.acceptance };
        // A disk that cannot be read says nothing about what the policy accepts.
        if (now?.refusal?.code !== 'policy-refused' && now?.refusal?.code !== 'key-revoked') return entry;
        const { acceptance: _, ...refused } = entry;
        return refused;
      }),
    }));
  } catch {
    // A read-only or full /var: what was recorded before still says what was accepted.
  }
}

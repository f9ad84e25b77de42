/**
 * Software emulation or KVM. That /dev/kvm opens says little: a guest may hang or abort on it all the same. So a real
 * boot of the kernel at hand is tried once, with a short deadline, and the answer is kept until this machine boots again.
 */
import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KpatchError } from '../../base/errors/error.ts';
import { lock } from '../../base/process/lock.ts';
import type { Acceleration } from './qemu.ts';
import { bootId, stateFolder } from './state.ts';

export type Accelerations = 'auto' | Acceleration;

/** A guest on KVM is up in about a second; one that is not by then is better emulated. */
const PROBE_DEADLINE_MS = 5000;

/** `probe` boots a guest with that acceleration within the deadline and ends it, or throws. */
export async function chooseAcceleration(
  wanted: Accelerations,
  probe: (acceleration: Acceleration, deadlineMs: number) => Promise<void>,
): Promise<Acceleration> {
  const told = process.env.KPATCH_VM_ACCEL;
  const choice = told === 'tcg' || told === 'kvm' ? told : wanted;
  if (choice !== 'auto') return choice;
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return 'tcg';
  }
  const folder = stateFolder();
  const path = join(folder, `kvm-${bootId()}`);
  const known = answerIn(path);
  if (known !== undefined) return known;
  const held = await lock(join(folder, 'kvm.lock'), 'the probe of KVM', { waitMs: 60_000 });
  try {
    const answer = answerIn(path) ?? (await tried(probe));
    writeFileSync(path, answer);
    return answer;
  } finally {
    held.release();
  }
}

async function tried(probe: (acceleration: Acceleration, deadlineMs: number) => Promise<void>): Promise<Acceleration> {
  try {
    await probe('kvm', PROBE_DEADLINE_MS);
    return 'kvm';
  } catch (error) {
    if (error instanceof KpatchError && error.code === 'interrupted') throw error;
    return 'tcg';
  }
}

function answerIn(path: string): Acceleration | undefined {
  try {
    const answer = readFileSync(path, 'utf8');
    return answer === 'kvm' || answer === 'tcg' ? answer : undefined;
  } catch {
    return undefined;
  }
}

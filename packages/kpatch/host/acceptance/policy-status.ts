/** What status, metrics and `kpatch policy` say about the policy of a machine. */
import type { Machine } from '../machine/machine.ts';
import { installedPatches } from '../store/store.ts';
import { unwantedOf } from '../store/unwanted.ts';
import { type Judgement, judgeInstalled } from './acceptance-record.ts';
import { type PolicyState, readPolicyState } from './policy.ts';

export interface PolicyStatus {
  readonly state: PolicyState['kind'];
  /** Where it lies, or would. */
  readonly file: string;
  /** SHA-256 over the policy and the files it names; absent unless it is valid. */
  readonly digest: string | undefined;
  readonly revokedKeys: number;
  /** Patches that the user took out, so that no update installs them. */
  readonly unwanted: readonly { readonly name: string; readonly at: string }[];
  /** What the user should look at: an unusable policy, installed patches that it refuses, revoked keys. */
  readonly alarms: readonly string[];
}

/** Looks at the policy, and at the installed patches of a release in its light. Never throws. */
export function policyStatus(machine: Machine, release: string): PolicyStatus {
  const state = readPolicyState(machine);
  const { kind, file, revoked } = state;
  const problem = state.kind === 'unusable' ? [`the host policy cannot be used: ${state.problem}`] : [];
  // Without a policy and without revoked keys nothing can be wrong, and nothing must be read.
  const plain = kind === 'none' && revoked.length === 0;
  const judged = plain || release === '' ? [] : judgeInstalled(machine, release);
  return {
    state: kind,
    file,
    digest: state.kind === 'valid' ? state.policy.digest : undefined,
    revokedKeys: revoked.length,
    unwanted: release === '' ? [] : unwantedOf(machine, release).map(({ name, at }) => ({ name, at })),
    alarms: [...problem, ...judged.flatMap((one) => alarmsOf(one, kind))],
  };
}

/** What is wrong with the installed patches of every release, for `kpatch policy check`. */
export function policyProblems(machine: Machine, releases: readonly string[]): string[] {
  const { kind } = readPolicyState(machine);
  return releases
    .filter((release) => installedPatches(machine, release).length > 0)
    .flatMap((release) => judgeInstalled(machine, release).flatMap((one) => alarmsOf(one, kind)));
}

function alarmsOf({ patch, alarms, refusal }: Judgement, kind: PolicyState['kind']): string[] {
  const known =
    refusal?.code === 'policy-refused' || refusal?.code === 'key-revoked' || refusal?.code === 'policy-unusable';
  if (!known) return kind === 'unusable' ? [] : [...alarms];
  if (refusal.code === 'policy-unusable')
    return [`${patch.name} (${patch.release}) was never accepted under a valid policy`];
  return [`${refusal.message}; it is not loaded at the next boot`];
}

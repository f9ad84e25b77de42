/** What the host policy says about channels and updates. */
import { failure } from '../../base/errors/error.ts';
import type { Machine } from '../machine/machine.ts';
import { isUnattended } from './origin.ts';
import { readPolicyState } from './policy.ts';

/**
 * Checks that the policy allows this machine to follow the channel at an address.
 * Errors: `channel-not-allowed`; `policy-unusable`, because nothing new comes in without a usable policy.
 */
export function requireChannel(machine: Machine, url: string): void {
  const state = readPolicyState(machine);
  if (state.kind === 'none') return;
  if (state.kind === 'unusable') {
    throw failure('policy-unusable', { file: state.file, problem: state.problem }, { where: { file: state.file } });
  }
  const { channels } = state.policy.rules;
  if (channels === undefined || channels.includes(url.replace(/\/+$/, ''))) return;
  throw failure(
    'channel-not-allowed',
    { url, allowed: channels.join(', ') || 'none' },
    { where: { file: state.file } },
  );
}

/** Checks that the policy allows automatic updates. Error: `update-not-allowed`. */
export function requireUpdate(machine: Machine, unattended = isUnattended()): void {
  const state = readPolicyState(machine);
  if (unattended && state.kind === 'valid' && state.policy.rules.update === 'nothing') {
    throw failure('update-not-allowed', {}, { where: { file: state.file } });
  }
}

/** `kpatch status`: one screen with the kernel, its patches, what the next boot loads, and what to do. */

import type { Command } from 'commander';
import { plural } from '../../base/errors/plural.ts';
import { type Support, supportOf, supportText } from '../../channel/follow/support.ts';
import { holdupLine } from '../../host/live/stall.ts';
import { type Status, statusOf } from '../../host/status.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { columns, type HostOptions, machineOf, withHostOptions } from './host-options.ts';

export function register(program: Command): void {
  const command = program
    .command('status')
    .description('show the kernel, its patches, what the next boot loads, and what to do')
    .addHelpText('after', '\nExit status: 0 if nothing needs attention, 1 if something does.');
  withHostOptions(command).action(action(run));
}

function run(_: Context, options: HostOptions): Outcome {
  const status = statusOf(machineOf(options));
  const support = supportOf(status.release, options.root);
  // A kernel out of support gets no more live patches; only a reboot helps.
  const ended = support?.state === 'ended' ? [`reboot: ${supportText(support)}`] : [];
  const whole = { ...status, todo: [...status.todo, ...ended] };
  const exit = whole.todo.length === 0 ? 0 : 1;
  const data = { ...whole, support: support ?? null };
  return { exit, schema: 'kpatch.status/1', data, text: text(whole, support).join('\n') };
}

function text(status: Status, support: Support | undefined): string[] {
  const rows: string[][] = [['Kernel', status.release || 'not running (--root)']];
  if (!status.livepatch && status.release !== '') rows.push(['', 'does not support live patching']);
  if (status.signatureRequired !== undefined)
    rows.push(['', `refuses modules that are not signed with a key it knows: ${status.signatureRequired}`]);
  for (const [i, patch] of status.patches.entries()) {
    const version = patch.version === undefined ? 'unknown version' : `version ${patch.version}`;
    const functions = plural(patch.functions.length, 'function');
    rows.push([i === 0 ? 'Patch' : '', `${patch.name} (${version}), ${patch.state}, ${functions}`]);
  }
  if (status.patches.length === 0) rows.push(['Patch', 'none loaded']);
  rows.push(['CVEs fixed', status.cves.length === 0 ? 'none named' : wrap(status.cves)]);
  const { transition } = status;
  if (transition !== undefined) {
    const { done, total } = transition.progress;
    rows.push(['Transition', `${transition.patch} is ${transition.state}: ${done} of ${total} tasks have switched`]);
    for (const holdup of transition.holdups) rows.push(['', holdupLine(holdup)]);
  } else rows.push(['Transition', 'none']);
  const boots = status.boots.map(({ name, version, release }) => {
    const shown = version === undefined ? name : `${name} (version ${version})`;
    return release === undefined ? shown : `${shown} for ${release}`;
  });
  rows.push(['Boots next', bootText(status, boots)]);
  for (const [i, seen] of status.observed.entries()) rows.push([i === 0 ? 'Boot guard' : '', seen]);
  rows.push(['Host policy', policyText(status)]);
  if (support !== undefined) rows.push(['Support', supportText(support)]);
  for (const [label, value] of channelRows(status.channel)) rows.push([label, value]);
  rows.push(['To do', status.todo[0] ?? 'nothing']);
  for (const one of status.todo.slice(1)) rows.push(['', one]);
  return columns(rows);
}

function bootText(status: Status, boots: readonly string[]): string {
  const trial = status.onTrial ? '; this boot is still on trial (boot guard)' : '';
  const off = status.disabledAtBoot ? '; this boot has kpatch.enable=0' : '';
  return `${boots.join(', ') || 'no patch'}${trial}${off}`;
}

function policyText({ policy }: Status): string {
  const revoked =
    policy.revokedKeys === 0 ? '' : `, ${policy.revokedKeys} revoked key${policy.revokedKeys === 1 ? '' : 's'}`;
  const out = policy.unwanted.map(({ name }) => name).join(', ');
  const unwanted = out === '' ? '' : `; not installed by updates: ${out}`;
  if (policy.state === 'none') return `none: root may load any patch (${policy.file})${revoked}${unwanted}`;
  if (policy.state === 'unusable') return `CANNOT BE USED: nothing new is accepted${unwanted}`;
  return `${policy.file} (${policy.digest?.slice(0, 12)})${revoked}${unwanted}`;
}

/** The rows that the channel contributes: label and text. */
function channelRows(channel: Status['channel']): [string, string][] {
  const lines = channel?.lines;
  if (!Array.isArray(lines)) return [];
  return lines.flatMap((line: unknown): [string, string][] => {
    if (!Array.isArray(line)) return [];
    const [label, value] = line as unknown[];
    return typeof label === 'string' && typeof value === 'string' ? [[label, value]] : [];
  });
}

function wrap(words: readonly string[]): string {
  const shown = words.slice(0, 12).join(' ');
  return words.length > 12 ? `${shown} and ${words.length - 12} more (--json)` : shown;
}

/** `kpatch status`: one screen on what runs, what it fixes, what boots next and what to do. */
import type { Command } from 'commander';
import { type Support, supportOf, supportText } from '../../channel/follow/support.ts';
import { holdupLine } from '../../host/live/stall.ts';
import { type Status, statusOf } from '../../host/status.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { columns, type HostOptions, machineOf, withHostOptions } from './host-options.ts';

export function register(program: Command): void {
  const command = program
    .command('status')
    .description('the kernel, its patches, what boots next, and what to do')
    .addHelpText('after', '\nExit status: 0 when nothing needs a person, 1 when something does.');
  withHostOptions(command).action(action(run));
}

function run(_: Context, options: HostOptions): Outcome {
  const status = statusOf(machineOf(options));
  const support = supportOf(status.release, options.root);
  // A kernel past its window gets no more live patches: the one thing that only a reboot can mend.
  const ended = support?.state === 'ended' ? [`reboot: ${supportText(support)}`] : [];
  const whole = { ...status, todo: [...status.todo, ...ended] };
  const exit = whole.todo.length === 0 ? 0 : 1;
  const data = { ...whole, support: support ?? null };
  return { exit, schema: 'kpatch.status/1', data, text: text(whole, support).join('\n') };
}

function text(status: Status, support: Support | undefined): string[] {
  const rows: string[][] = [['Kernel', status.release || 'does not run (--root)']];
  if (!status.livepatch && status.release !== '') rows.push(['', 'it has no live patching']);
  for (const [i, patch] of status.patches.entries()) {
    const version = patch.version === undefined ? 'version not known' : `version ${patch.version}`;
    const functions = `${patch.functions.length} function${patch.functions.length === 1 ? '' : 's'}`;
    rows.push([i === 0 ? 'Patch' : '', `${patch.name} (${version}), ${patch.state}, ${functions}`]);
  }
  if (status.patches.length === 0) rows.push(['Patch', 'none loaded']);
  rows.push(['CVEs fixed', status.cves.length === 0 ? 'none named' : wrap(status.cves)]);
  const { transition } = status;
  if (transition !== undefined) {
    const { done, total } = transition.progress;
    rows.push(['Transition', `${transition.patch} is ${transition.state}: ${done} of ${total} tasks have come over`]);
    for (const holdup of transition.holdups) rows.push(['', holdupLine(holdup)]);
  } else rows.push(['Transition', 'none']);
  const boots = status.boots.map(({ name, version }) =>
    version === undefined ? name : `${name} (version ${version})`,
  );
  rows.push(['Boots next', bootText(status, boots)]);
  if (support !== undefined) rows.push(['Support', supportText(support)]);
  for (const [label, value] of channelRows(status.channel)) rows.push([label, value]);
  rows.push(['To do', status.todo[0] ?? 'nothing']);
  for (const one of status.todo.slice(1)) rows.push(['', one]);
  return columns(rows);
}

function bootText(status: Status, boots: readonly string[]): string {
  const trial = status.onTrial ? '; the boot guard still watches this boot' : '';
  const off = status.disabledAtBoot ? '; this boot had kpatch.enable=0' : '';
  return `${boots.join(', ') || 'no patch'}${trial}${off}`;
}

/** Lines of the channel: whatever it put under `lines`, as label and text. */
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

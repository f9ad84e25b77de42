/** `kpatch status`: one screen with the kernel, its patches, what the next boot loads, and what to do. */

import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { failure } from '../../../base/errors/error.ts';
import { plural } from '../../../base/errors/plural.ts';
import { clearScreen, printLines } from '../../../base/print.ts';
import { type Line, line, plainText, type Role, span, terminalOf } from '../../../base/text/terminal.ts';
import { type Reboot, rebootOf } from '../../../channel/follow/reboot.ts';
import { type Support, supportOf, supportText } from '../../../channel/follow/support.ts';
import { type FleetStanding, fleetStanding, standingText } from '../../../fleet/standing.ts';
import { holdupLine } from '../../../host/live/stall.ts';
import { type Status, statusOf } from '../../../host/status.ts';
import { action, type Context, type Outcome } from '../../command.ts';
import { type HostOptions, machineOf, withHostOptions } from '../host-options.ts';

export function register(program: Command): void {
  const command = program
    .command('status')
    .description('show the kernel, its patches, what the next boot loads, and what to do')
    .option('--short', 'print one line')
    .option('--format <template>', 'print this text with its {fields} filled in')
    .option('--watch', 'print it again every two seconds until Ctrl-C')
    .addHelpText(
      'after',
      `
Fields of --format: ${fieldNames.map((name) => `{${name}}`).join(' ')}
Exit status: 0 if nothing needs attention, 1 if something does.`,
    );
  withHostOptions(command).action(action(run));
}

/** The status of the host with what its channel and its fleet add. */
interface Whole extends Status {
  readonly support: Support | null;
  readonly reboot: Reboot;
  readonly fleet: FleetStanding | null;
}

interface Options extends HostOptions {
  readonly short?: boolean;
  readonly format?: string;
  readonly watch?: boolean;
}

/** Interval of `--watch`. */
const WATCH_MS = 2000;

async function run({ json }: Context, options: Options): Promise<Outcome> {
  if (options.watch !== true) return look(options);
  if (json) throw failure('usage', { problem: '--watch and --json cannot be combined' });
  for (let before = ''; ; ) {
    const { text: now } = look(options);
    const { interactive } = terminalOf(process.stdout);
    const lines = typeof now === 'string' ? [line([now])] : now;
    // A terminal shows the newest state; a log only what changed.
    clearScreen();
    if (interactive || plainText(lines) !== before) printLines(lines);
    before = plainText(lines);
    await delay(WATCH_MS);
  }
}

function look(options: Options): Outcome {
  const machine = machineOf(options);
  const status = statusOf(machine);
  // One time for all of it: support and reboot must not speak of different days.
  const now = machine.clock.date();
  const support = supportOf(status.release, options.root, now);
  // A kernel out of support gets no more live patches; only a reboot helps.
  const ended = support?.state === 'ended' ? [`reboot: ${supportText(support)}`] : [];
  const whole: Whole = {
    ...{ ...status, todo: [...status.todo, ...ended] },
    support: support ?? null,
    reboot: rebootOf(machine, status, options.root, now),
    fleet: fleetStanding(options.root) ?? null,
  };
  const exit = whole.todo.length === 0 ? 0 : 1;
  return { exit, schema: 'kpatch.status/1', data: whole, text: shown(whole, options, now) };
}

function shown(status: Whole, { short, format }: Options, now: Date): string | readonly Line[] {
  if (format !== undefined) return filled(format, status);
  return short === true ? shortText(status) : text(status, now);
}

const fields: Readonly<Record<string, (status: Whole) => string>> = {
  release: ({ release }) => release,
  patches: ({ patches }) => patches.map(({ name }) => name).join(',') || 'none',
  versions: ({ patches }) => patches.map(({ version }) => version ?? 'unknown').join(',') || 'none',
  states: ({ patches }) => patches.map(({ state }) => state).join(',') || 'none',
  functions: ({ patches }) => String(patches.reduce((sum, patch) => sum + patch.functions.length, 0)),
  cves: ({ cves }) => cves.join(',') || 'none',
  'cve-count': ({ cves }) => String(cves.length),
  transition: ({ transition }) => transition?.patch ?? 'none',
  boots: ({ boots }) => boots.map(({ name }) => name).join(',') || 'none',
  todo: ({ todo }) => todo.join('; ') || 'nothing',
  'todo-count': ({ todo }) => String(todo.length),
  reboot: ({ reboot }) => reboot.answer,
  'reboot-reason': ({ reboot }) => reboot.reason,
};
const fieldNames = Object.keys(fields);

/** Error: `usage` for a field that does not exist. */
function filled(template: string, status: Whole): string {
  return template.replace(/\{([^{}]*)\}/g, (_, name: string) => {
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (field === undefined) {
      throw failure('usage', { problem: `--format has no field {${name}}; there are ${fieldNames.join(', ')}` });
    }
    return field(status);
  });
}

/** For a prompt or a message of the day. */
function shortText(status: Status): readonly Line[] {
  const { release, patches, cves, todo } = status;
  const names = patches.map(
    ({ name, version, state }) => `${name}${version === undefined ? '' : ` (version ${version})`} ${state}`,
  );
  const attention =
    todo.length === 0
      ? span('good', 'nothing to do')
      : span('warning', `${plural(todo.length, 'thing')} to do: ${todo[0]}`);
  const parts = [
    release || 'not running',
    names.join(', ') || 'no patch loaded',
    `${plural(cves.length, 'CVE')} fixed`,
  ];
  return [line([`${parts.join('; ')}; `, attention])];
}

/** The colour of a value, by its label. */
function roleOf(label: string, value: string): Role {
  if (label === 'To do') return value === 'nothing' ? 'good' : 'warning';
  if (/CANNOT BE USED|does not support|no live patches since/.test(value)) return 'bad';
  return label === 'Kernel' ? 'strong' : 'plain';
}

function text(status: Whole, now: Date): readonly Line[] {
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
  const { support, reboot, fleet } = status;
  if (support !== null) rows.push(['Support', supportText(support)]);
  rows.push(['Reboot', `${reboot.answer}: ${reboot.reason}`]);
  if (fleet !== null) rows.push(['Fleet', standingText(fleet, now)]);
  rows.push(['To do', status.todo[0] ?? 'nothing']);
  for (const one of status.todo.slice(1)) rows.push(['', one]);
  const width = Math.max(...rows.map(([label = '']) => label.length)) + 2;
  let label = '';
  return rows.map(([own = '', value = '']) => {
    label = own === '' ? label : own;
    return line([span('quiet', own.padEnd(width)), span(roleOf(label, value), value)], width);
  });
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

function wrap(words: readonly string[]): string {
  const shown = words.slice(0, 12).join(' ');
  return words.length > 12 ? `${shown} and ${words.length - 12} more (--json)` : shown;
}

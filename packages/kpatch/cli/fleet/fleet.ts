/** `kpatch fleet`: joins a fleet, leaves it, shows it. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { failure } from '../../base/errors/error.ts';
import { plural } from '../../base/errors/plural.ts';
import { readBytes } from '../../base/files.ts';
import { joinFleet, leaveFleet } from '../../fleet/join.ts';
import { waiting } from '../../fleet/outbox.ts';
import { needMembership, placeIn, readChain } from '../../fleet/place.ts';
import { thisMachine } from '../../host/machine/machine.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { withHostOptions } from '../host/host-options.ts';

interface Options {
  readonly root?: string;
}

interface JoinOptions extends Options {
  readonly tokenFile: string;
  readonly ca?: string;
}

export function register(program: Command): void {
  const fleet = program.command('fleet').description('belong to a fleet: join, leave, show');
  withHostOptions(
    fleet
      .command('join <URL>')
      .description('join the fleet of a server, and report to it from now on')
      .requiredOption('--token-file <file>', 'file with the one-time token; - reads standard input')
      .option('--ca <file>', 'certificates (PEM) of which the server must have one (default: those of the system)'),
  ).action(action(join));
  withHostOptions(fleet.command('leave').description('leave the fleet; nothing of it stays on this machine')).action(
    action(leave),
  );
  withHostOptions(fleet.command('show').description('show to which fleet this machine belongs')).action(action(show));
}

async function join({ report }: Context, options: JoinOptions, url: string): Promise<Outcome> {
  const { root = '/', tokenFile, ca } = options;
  const token = (tokenFile === '-' ? readFileSync(0, 'utf8') : readBytes(tokenFile).toString('utf8')).trim();
  const authorities = ca === undefined ? undefined : certificates(ca);
  const { membership, labels, timer } = await report.stage('join', () =>
    joinFleet(thisMachine(root), { url, token, authorities, root }),
  );
  const how = timer
    ? `every ${membership.intervalSeconds} seconds a timer reports`
    : 'systemd does not run here: run kpatch report from cron';
  const named = labels.length === 0 ? '' : `\nlabels: ${labels.join(', ')}`;
  return {
    schema: 'kpatch.fleet-join/1',
    data: { url: membership.url, host: membership.host, labels, timer },
    text: `this machine belongs to the fleet at ${membership.url} as ${membership.host}; ${how}${named}`,
  };
}

function certificates(file: string): string {
  const text = readBytes(file).toString('utf8');
  if (!text.includes('-----BEGIN CERTIFICATE-----'))
    throw failure('usage', { problem: `${file} holds no certificate in PEM form` });
  return text;
}

async function leave({ report }: Context, { root = '/' }: Options): Promise<Outcome> {
  const { url, told, problem } = await leaveFleet(thisMachine(root), root);
  if (!told) report.warn(`the server could not be told: ${problem}; remove this machine there`);
  return { schema: 'kpatch.fleet-leave/1', data: { url, told }, text: `this machine left the fleet at ${url}` };
}

function show(_: Context, { root = '/' }: Options): Outcome {
  const place = placeIn(root);
  const { url, host, joined } = needMembership(place);
  const { counter, standing, choices } = readChain(place);
  const left = waiting(place).length;
  const lines = [
    `Fleet     ${url}`,
    `Name      ${host}, since ${joined}`,
    `Reports   ${counter}${left === 0 ? '' : `, ${plural(left, 'report')} not sent yet`}`,
    `Standing  ${standingText[standing] ?? standing}`,
    ...choices.map(({ release, sha256 }) => `Chosen    ${release}: ${sha256}`),
  ];
  return {
    schema: 'kpatch.fleet-show/1',
    data: { url, host, joined, counter, waiting: left, standing, choices },
    text: lines.join('\n'),
  };
}

const standingText: Readonly<Record<string, string>> = {
  normal: 'normal',
  restored: 'restored from an earlier state',
  cloned: 'another machine uses the same key: leave the fleet and join it again on both',
  left: 'the server does not know this machine any more: leave the fleet and join it again',
};

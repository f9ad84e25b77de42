/** The keys of a channel's TUF repository: `kpatch channel new-key`, `root`, `sign` and `import`. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { failure } from '../../base/errors/error.ts';
import { lock } from '../../base/lock.ts';
import { layout, readConfig } from '../../channel/repository/config.ts';
import {
  importSignatures,
  prepareRoot,
  ROOT_DAYS,
  type RootSummary,
  signFile,
  summaryOf,
} from '../../channel/repository/tuf/root.ts';
import { makeTufKey } from '../../channel/tuf/key.ts';
import { action, type Context, type Outcome } from '../command.ts';

interface RootOptions {
  readonly rootKey?: string[];
  readonly targetsKey?: string[];
  readonly snapshotKey?: string[];
  readonly timestampKey?: string[];
  readonly threshold?: string;
  readonly validDays: string;
  readonly revoke?: string[];
}

/** Adds the commands of the signing ceremony. */
export function registerTuf(channel: Command): void {
  channel
    .command('new-key <FILE>')
    .description('make a key for a role: FILE stays secret, FILE.pub is its public part')
    .option('--json', 'print JSON')
    .action(action(newKey));
  channel
    .command('root <DIR>')
    .description('write the next root, which lists the keys of all roles; sign it with kpatch channel sign')
    .option('--root-key <file...>', 'public keys of the root (default: those of the root before)')
    .option('--threshold <n>', 'how many root keys must sign (default: as before, or all but one)')
    .option('--targets-key <file...>', 'public keys of targets, which lists modules and proofs')
    .option('--snapshot-key <file...>', 'public keys of snapshot')
    .option('--timestamp-key <file...>', 'public keys of timestamp')
    .option('--valid-days <n>', 'days until it expires', String(ROOT_DAYS))
    .option('--revoke <file=reason...>', 'public key of proofs or modules that machines must no longer accept')
    .option('--json', 'print JSON')
    .action(action(makeRoot));
  channel
    .command('sign <FILE>')
    .description('sign a root with one key, on the machine that holds the key')
    .requiredOption('--key <file>', 'the private key')
    .option('--json', 'print JSON')
    .action(action(signRoot));
  channel
    .command('import <DIR> <FILE...>')
    .description('add signatures to the root that waits for them')
    .option('--json', 'print JSON')
    .action(action(importThem));
}

function newKey(_: Context, _options: object, file: string): Outcome {
  const { id } = makeTufKey(file);
  const text = `key ${id}\n${file}: keep it secret\n${file}.pub: give it to the owner of the channel`;
  return { schema: 'kpatch.channel-new-key/1', data: { file, public: `${file}.pub`, id }, text };
}

async function makeRoot(_: Context, options: RootOptions, dir: string): Promise<Outcome> {
  const folder = resolve(dir);
  const config = readConfig(folder);
  const given = {
    root: options.rootKey,
    targets: options.targetsKey,
    snapshot: options.snapshotKey,
    timestamp: options.timestampKey,
  };
  const keys = Object.fromEntries(Object.entries(given).filter(([, files]) => files !== undefined));
  using _held = await lock(layout(folder).lock, `the channel ${folder}`, { waitMs: 60_000 });
  const file = await prepareRoot(folder, config, {
    keys,
    ...(options.threshold === undefined ? {} : { threshold: days(options.threshold, '--threshold') }),
    days: days(options.validDays, '--valid-days'),
    revoke: (options.revoke ?? []).map(fileAndReason),
    now: new Date(),
  });
  const summary = await summaryOf(file);
  const text = `${summaryLines(summary)}\n${file}\nnext: kpatch channel sign FILE --key KEY on each machine with a key, then kpatch channel import ${dir} SIGNATURES`;
  return { schema: 'kpatch.channel-root/1', data: { file, ...summary }, text };
}

function days(value: string, option: string): number {
  const count = Number(value);
  if (Number.isInteger(count) && count >= 1 && count <= 3660) return count;
  throw failure('usage', { problem: `${option} needs a whole number from 1 to 3660, not '${value}'` });
}

function fileAndReason(text: string): { file: string; reason: string } {
  const [, file = '', reason = ''] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (file !== '' && reason.trim() !== '') return { file, reason };
  throw failure('usage', { problem: `--revoke needs FILE=REASON, not '${text}'` });
}

async function signRoot(_: Context, options: { key: string }, file: string): Promise<Outcome> {
  const summary = await summaryOf(file);
  const signature = await signFile(file, options.key);
  const text = `${summaryLines(summary)}\nsigned: ${signature}`;
  return { schema: 'kpatch.channel-sign/1', data: { file: signature, ...summary }, text };
}

function summaryLines(summary: RootSummary): string {
  const { channel, version, expires, roles, revoked } = summary;
  return [
    `root ${version} of the channel ${channel}, expires ${expires.slice(0, 10)}`,
    ...roles.map(
      ({ role, threshold, keys }) => `  ${role}: ${threshold} of ${keys.map((key) => key.slice(0, 16)).join(', ')}`,
    ),
    ...revoked.map(({ key, reason }) => `  revoked: ${key.slice(0, 16)} (${reason})`),
  ].join('\n');
}

async function importThem(_: Context, _options: object, dir: string, files: string[]): Promise<Outcome> {
  const folder = resolve(dir);
  readConfig(folder);
  using _held = await lock(layout(folder).lock, `the channel ${folder}`, { waitMs: 60_000 });
  const done = await importSignatures(folder, files);
  const { version, complete, missing } = done;
  const text = complete
    ? `root ${version} is complete\nnext: kpatch channel publish ${dir} --tuf-keys FOLDER`
    : `root ${version} still needs ${missing.own} signatures by its keys and ${missing.before} by those of the root before`;
  return { schema: 'kpatch.channel-import/1', data: done, text };
}

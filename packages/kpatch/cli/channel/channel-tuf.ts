/** The keys of a channel's TUF repository: `kpatch channel new-key`, `root`, `targets`, `sign` and `import`. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { failure } from '../../base/errors/error.ts';
import { plural } from '../../base/errors/plural.ts';
import { lock } from '../../base/process/lock.ts';
import { layout, readConfig } from '../../channel/repository/config.ts';
import { prepareTargetsOf } from '../../channel/repository/publish.ts';
import {
  importSignatures,
  type ListedModule,
  type Summary,
  signFile,
  summarize,
} from '../../channel/repository/tuf/ceremony.ts';
import { prepareRoot, ROOT_DAYS, type RootSummary, summaryOf } from '../../channel/repository/tuf/root.ts';
import { makeTufKey } from '../../channel/tuf/key.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { newPassphrase, type PassphraseOptions, passphraseOf, withPassphrase } from '../passphrase.ts';

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
  withPassphrase(
    channel
      .command('new-key <FILE>')
      .description('make a key for a role: FILE stays secret, FILE.pub is its public part')
      .option('--encrypt', 'encrypt FILE with a passphrase (for keys of root and targets)'),
  )
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
    .command('targets <DIR>')
    .description('write the list of modules that the next publication needs; sign it with kpatch channel sign')
    .option('--json', 'print JSON')
    .action(action(makeTargets));
  withPassphrase(
    channel
      .command('sign <FILE>')
      .description('sign a root or a list of modules with one key, on the machine that holds the key')
      .requiredOption('--key <file>', 'the private key'),
  )
    .option('--json', 'print JSON')
    .action(action(signIt));
  channel
    .command('import <DIR> <FILE...>')
    .description('add signatures to the root or the list of modules that waits for them')
    .option('--json', 'print JSON')
    .action(action(importThem));
}

function newKey(_: Context, options: PassphraseOptions & { encrypt?: boolean }, file: string): Outcome {
  const encrypted = options.encrypt === true;
  if (!encrypted && (options.passphraseFile ?? options.passphraseFd) !== undefined)
    throw failure('usage', { problem: 'a passphrase needs --encrypt' });
  const { id } = makeTufKey(file, encrypted ? newPassphrase(file, options) : undefined);
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
  const text = `${summaryLines({ role: 'root', ...summary })}\n${file}\nnext: kpatch channel sign FILE --key KEY on each machine with a key, then kpatch channel import ${dir} SIGNATURES`;
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

async function makeTargets(_: Context, _options: object, dir: string): Promise<Outcome> {
  const folder = resolve(dir);
  const config = readConfig(folder);
  using _held = await lock(layout(folder).lock, `the channel ${folder}`, { waitMs: 60_000 });
  const file = await prepareTargetsOf(folder, config, new Date());
  const schema = 'kpatch.channel-targets/1';
  if (file === undefined)
    return { exit: 3, schema, data: { file: null, channel: config.name }, text: 'the published list still holds' };
  const summary = await summarize(file);
  const text = `${summaryLines(summary)}\n${file}\nnext: kpatch channel sign FILE --key KEY where the key of targets is, then kpatch channel import ${dir} SIGNATURE and kpatch channel publish ${dir}`;
  return { schema, data: { file, ...summary }, text };
}

async function signIt(_: Context, options: PassphraseOptions & { key: string }, file: string): Promise<Outcome> {
  const summary = await summarize(file);
  const signature = await signFile(file, options.key, passphraseOf(options));
  const text = `${summaryLines(summary)}\nsigned: ${signature}`;
  return { schema: 'kpatch.channel-sign/1', data: { file: signature, ...summary }, text };
}

function summaryLines(summary: Summary): string {
  const { role, channel, version, expires } = summary;
  const lines = summary.role === 'root' ? rootLines(summary) : moduleLines(summary.modules);
  return [`${role} ${version} of the channel ${channel}, expires ${expires.slice(0, 10)}`, ...lines].join('\n');
}

function rootLines({ roles, revoked }: Pick<RootSummary, 'roles' | 'revoked'>): string[] {
  return [
    ...roles.map(
      ({ role, threshold, keys }) => `  ${role}: ${threshold} of ${keys.map((key) => key.slice(0, 16)).join(', ')}`,
    ),
    ...revoked.map(({ key, reason }) => `  revoked: ${key.slice(0, 16)} (${reason})`),
  ];
}

function moduleLines(modules: readonly ListedModule[]): string[] {
  return modules.map(({ release, name, version, sha256 }) => `  ${release} ${version}: ${name}.ko, SHA-256 ${sha256}`);
}

async function importThem(_: Context, _options: object, dir: string, files: string[]): Promise<Outcome> {
  const folder = resolve(dir);
  readConfig(folder);
  using _held = await lock(layout(folder).lock, `the channel ${folder}`, { waitMs: 60_000 });
  const done = await importSignatures(folder, files);
  const { role, version, complete, missing } = done;
  const before = role === 'root' ? ` and ${missing.before} by those of the root before` : '';
  const text = complete
    ? `${role} ${version} is complete\nnext: kpatch channel publish ${dir} --tuf-keys FOLDER`
    : `${role} ${version} still needs ${plural(missing.own, 'signature')} by its keys${before}`;
  return { schema: 'kpatch.channel-import/1', data: done, text };
}

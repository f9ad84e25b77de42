/** `kpatch channel init`, and `kpatch channel key`: a channel and the keys that its packages are signed with. */
import { mkdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { failure } from '../../base/errors/error.ts';
import { readBytes, writeAtomically } from '../../base/files.ts';
import { exists } from '../../channel/repository/add.ts';
import {
  type ChannelConfig,
  channelSchema,
  configDefaults,
  layout,
  problemOf,
  readConfig,
  writeConfig,
} from '../../channel/repository/config.ts';
import { secretKey } from '../../channel/repository/gpg.ts';
import { readKernels } from '../../channel/repository/kernel.ts';
import { addKey, retireKey } from '../../channel/repository/rotate.ts';
import { readPublicKey } from '../../module/public-key.ts';
import { readCertificate } from '../../module/signature.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { held, whole } from './publisher.ts';

interface InitOptions {
  readonly name: string;
  readonly url: string;
  readonly key: string;
  readonly description?: string;
  readonly windowMonths?: string;
  readonly validDays?: string;
  readonly keep?: string;
  readonly requireProof?: boolean;
  readonly proofKey?: string[];
  readonly requireProvenance?: boolean;
  readonly builderKey?: string[];
  readonly requireSignature?: boolean;
  readonly certificate?: string[];
}

interface KeyOptions {
  readonly add?: string;
  readonly retire?: string;
  readonly revoke?: string;
}

export function registerInit(channel: Command): void {
  channel
    .command('init <DIR>')
    .description('create a channel')
    .requiredOption('--name <name>', 'short name: letters, digits and dashes')
    .requiredOption('--url <url>', 'address at which DIR/public will be served')
    .requiredOption('--key <key>', 'GnuPG signing key: fingerprint or mail address (honours GNUPGHOME)')
    .option('--description <text>', 'description of the channel, one line')
    .option('--window-months <n>', `months of support for each kernel (${configDefaults.windowMonths})`)
    .option('--valid-days <n>', `days for which a publication is valid (${configDefaults.validDays})`)
    .option('--keep <n>', `older publications to keep (${configDefaults.keep})`)
    .option('--require-proof', 'accept only patches with a proof that --proof-key signed')
    .option('--proof-key <file...>', 'public key (PEM) of who signs proofs')
    .option('--require-provenance', 'accept only patches whose provenance --builder-key signed')
    .option('--builder-key <file...>', 'public key (PEM) of who builds modules')
    .option('--require-signature', 'accept only modules that --certificate signed')
    .option('--certificate <file...>', 'certificate (PEM or DER) of who signs modules')
    .option('--json', 'print JSON')
    .action(action(init));
  channel
    .command('key <DIR>')
    .description('rotate the signing key')
    .option('--add <key>', 'add a key; both keys sign from now on')
    .option('--retire <key>', 'stop signing with the old key, once machines know the new one')
    .option('--revoke <key>', 'the same for a key that leaked or was lost: it never signs again')
    .option('--json', 'print JSON')
    .action(action(key));
}

async function init(_: Context, options: InitOptions, dir: string): Promise<Outcome> {
  const folder = resolve(dir);
  if (exists(folder)) throw failure('channel-exists', { folder });
  const signer = await secretKey(options.key);
  const config: ChannelConfig = {
    schema: channelSchema,
    name: options.name,
    description: options.description ?? `Live patches ${options.name}`,
    url: options.url.replace(/\/+$/, ''),
    keys: [signer.fingerprint],
    formerKeys: [],
    windowMonths: whole(options.windowMonths, configDefaults.windowMonths, '--window-months'),
    validDays: whole(options.validDays, configDefaults.validDays, '--valid-days'),
    keep: whole(options.keep, configDefaults.keep, '--keep'),
    require: requirements(options),
  };
  const problem = problemOf(config);
  if (problem !== undefined) throw failure('usage', { problem });
  mkdirSync(folder, { recursive: true });
  keepKeys(folder, options);
  writeConfig(folder, config);
  const text = `channel ${config.name} in ${folder}, signed by ${signer.fingerprint}\nnext: kpatch channel kernel ${dir} RELEASE --released DAY`;
  return { schema: 'kpatch.channel-init/1', data: { folder, config }, text };
}

/** What the channel asks for; the keys are kept in its folder. Error: `usage`. */
function requirements(options: InitOptions): ChannelConfig['require'] {
  const { proofKey = [], builderKey = [], certificate = [] } = options;
  const [proof, moduleSignature] = [options.requireProof === true, options.requireSignature === true];
  const provenance = options.requireProvenance === true;
  if (proof && proofKey.length === 0)
    throw failure('usage', { problem: '--require-proof needs --proof-key FILE, the public key of who signs proofs' });
  if (provenance && builderKey.length === 0)
    throw failure('usage', { problem: '--require-provenance needs --builder-key FILE, the public key of who builds' });
  if (moduleSignature && certificate.length === 0)
    throw failure('usage', { problem: '--require-signature needs --certificate FILE, of who signs modules' });
  const named = (files: readonly string[]): string[] => files.map((file) => `keys/${basename(file)}`);
  return {
    proof,
    moduleSignature,
    ...(provenance ? { provenance } : {}),
    proofKeys: named(proofKey),
    ...(builderKey.length > 0 ? { builderKeys: named(builderKey) } : {}),
    certificates: named(certificate),
  };
}

/** Copies the keys into the folder of the channel. Errors: `proof-key`, `sign-certificate-unusable`, `usage`. */
function keepKeys(folder: string, { proofKey = [], builderKey = [], certificate = [] }: InitOptions): void {
  const files = [...new Set([...proofKey, ...builderKey, ...certificate])];
  if (new Set(files.map((file) => basename(file))).size < files.length)
    throw failure('usage', {
      problem: 'the files of --proof-key, --builder-key and --certificate must have different names',
    });
  proofKey.forEach(readPublicKey);
  builderKey.forEach(readPublicKey);
  certificate.forEach(readCertificate);
  const { keys } = layout(folder);
  if (files.length > 0) mkdirSync(keys, { recursive: true });
  for (const file of files) writeAtomically(join(keys, basename(file)), readBytes(file));
}

async function key({ report }: Context, options: KeyOptions, dir: string): Promise<Outcome> {
  const folder = resolve(dir);
  const { add, retire, revoke } = options;
  if ([add, retire, revoke].filter((name) => name !== undefined).length !== 1)
    throw failure('usage', { problem: 'give --add KEY, --retire KEY or --revoke KEY' });
  using _held = await held(folder);
  const config = readConfig(folder);
  const old = retire ?? revoke ?? '';
  const next =
    add === undefined
      ? await report.stage('sign packages again', () => retireKey(folder, config, old, revoke !== undefined))
      : await addKey(config, add);
  writeConfig(folder, next);
  return {
    schema: 'kpatch.channel-key/1',
    data: {
      keys: next.keys,
      formerKeys: next.formerKeys,
      revokedKeys: next.revokedKeys ?? [],
      kernels: readKernels(folder).length,
    },
    text: `signing: ${next.keys.join(', ')}\nnext: kpatch channel publish ${dir}`,
  };
}

/** What a channel is: its folder's own file `channel.json`, written by `kpatch channel init`. */
import { existsSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { writeAtomically } from '../../base/files.ts';
import { readJSON } from '../../base/plain.ts';
import type { channelConfigDocument } from '../../documents/definitions/channel.ts';
import { formProblem, type Stored } from '../../documents/form.ts';

export const channelSchema = 'kpatch.channel/1';

export interface ChannelConfig {
  readonly schema: typeof channelSchema;
  /** Short, as it is in file names: letters, digits, dashes. */
  readonly name: string;
  readonly description: string;
  /** Where `public/` will be served, without a slash at the end. */
  readonly url: string;
  /**
   * Fingerprints of the keys that sign, oldest first; all sign indexes, the oldest signs rpm packages (see docs, "Keys").
   */
  readonly keys: readonly string[];
  /** Keys that no longer sign. Machines are not given them: everything is signed again by the keys that sign. */
  readonly formerKeys: readonly string[];
  /** Keys that leaked or were lost; they never sign again. */
  readonly revokedKeys?: readonly string[];
  /** Months of live patches for each kernel, from its release. */
  readonly windowMonths: number;
  /** Days that a publication is valid: a machine that sees an older one knows that its mirror stands still. */
  readonly validDays: number;
  /** Publications that are kept beside the newest. */
  readonly keep: number;
  readonly require: {
    readonly proof: boolean;
    readonly moduleSignature: boolean;
    /** Absent in channels that were made before channels carried provenance. */
    readonly provenance?: boolean;
    /** Files with public keys (PEM) of builders, below the channel's folder, by one of which provenance must be signed. */
    readonly builderKeys?: readonly string[];
    /** Files with public keys (PEM), below the channel's folder, by one of which a proof must be signed. */
    readonly proofKeys?: readonly string[];
    /** Files with certificates (PEM or DER), below the channel's folder, by one of which a module must be signed. */
    readonly certificates?: readonly string[];
  };
}

export const configDefaults = { windowMonths: 6, validDays: 14, keep: 3 } as const;

/** Paths inside a channel's folder. */
export function layout(folder: string) {
  return {
    config: join(folder, 'channel.json'),
    lock: join(folder, '.lock'),
    kernels: join(folder, 'kernels'),
    keys: join(folder, 'keys'),
    pool: { deb: join(folder, 'pool/deb'), rpm: join(folder, 'pool/rpm') },
    modules: join(folder, 'pool/module'),
    tuf: join(folder, 'tuf'),
    csaf: join(folder, 'csaf'),
    cache: join(folder, 'cache'),
    generations: join(folder, 'generations'),
    public: join(folder, 'public'),
  };
}

/** Reads a channel's configuration. Errors: `channel-none`, `channel-config`, `channel-not-json`. */
export function readConfig(folder: string): ChannelConfig {
  const file = layout(folder).config;
  if (!existsSync(file)) throw failure('channel-none', { folder }, { where: { file } });
  const bad = (problem: string): Error => failure('channel-config', { file, problem }, { where: { file } });
  const value = readJSON(file);
  const malformed = formProblem(channelSchema, value);
  if (malformed !== undefined) throw bad(malformed);
  const read = value as Stored<typeof channelConfigDocument>;
  const config = { description: '', formerKeys: [], revokedKeys: [], ...configDefaults, ...read };
  const problem = problemOf(config);
  if (problem !== undefined) throw bad(problem);
  if (config.keys.length === 0) throw bad('it has no key');
  return config;
}

/** A channel's name is in file names and in apt's pins, where other characters would mean something. */
export function isChannelName(name: string): boolean {
  return /^[a-z0-9][a-z0-9-]{0,39}$/.test(name);
}

/** What is wrong with a configuration, in words. */
export function problemOf(config: ChannelConfig): string | undefined {
  if (!isChannelName(config.name)) return 'the name must consist of letters, digits and dashes';
  if (/[\n\r]/.test(config.description)) return 'the description must be a single line';
  if (!isUrl(config.url)) return 'the URL must start with http, https or file';
  const fingerprints = [...config.keys, ...config.formerKeys, ...(config.revokedKeys ?? [])];
  if (!fingerprints.every((key) => /^[0-9A-F]{40}$|^[0-9A-F]{64}$/.test(key))) {
    return 'keys must be given by their full fingerprint';
  }
  const { proofKeys = [], builderKeys = [], certificates = [] } = config.require;
  const files = [...proofKeys, ...builderKeys, ...certificates];
  if (files.some((file) => isAbsolute(file) || file.split('/').includes('..')))
    return 'the files of proofKeys, builderKeys and certificates must lie in the folder of the channel';
  if (!between(config.windowMonths, 1, 120)) return 'the support window must be 1 to 120 months';
  if (!between(config.validDays, 1, 366)) return 'the validity must be 1 to 366 days';
  if (!between(config.keep, 1, 100)) return 'the number of publications to keep must be 1 to 100';
  return undefined;
}

function between(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

function isUrl(url: string): boolean {
  // Blanks, quotes and line ends would be read as options in the client's files.
  return /^(?:https?|file):\/\/[^\s'"\\[\]]*[^\s'"\\/[\]]$/.test(url) && URL.canParse(url);
}

/** Writes the configuration. */
export function writeConfig(folder: string, config: ChannelConfig): void {
  writeAtomically(layout(folder).config, `${JSON.stringify(config, null, 1)}\n`);
}

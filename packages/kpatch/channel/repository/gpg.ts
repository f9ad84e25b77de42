/** Signing and checking with GnuPG. Keys are in the user's own GnuPG home (GNUPGHOME), never in a channel's folder. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { failure } from '../../base/errors/error.ts';
import { temporaryFolder } from '../../base/files.ts';
import { run, runOk } from '../../base/run.ts';
import { sourceDateEpoch } from '../../base/workspace.ts';

/** How long the user may take to enter a pass phrase. */
const PATIENCE_MS = 300_000;

/** A program that is started now calls time(2) within this time. */
const START_MS = 5_000;

export interface SecretKey {
  readonly fingerprint: string;
  /** Seconds since 1970; `undefined` where it does not expire. */
  readonly expires: number | undefined;
}

/** The secret key that a fingerprint, id or address names. Error: `channel-key` (none, several, expired, revoked). */
export async function secretKey(name: string): Promise<SecretKey> {
  const result = await run('gpg', ['--batch', '--with-colons', '--fixed-list-mode', '--list-secret-keys', '--', name]);
  const bad = (problem: string): Error => failure('channel-key', { key: name, problem }, { detail: result.stderr });
  const keys: { validity: string; expires: string; fingerprint: string }[] = [];
  let open = false;
  for (const line of result.stdout
    .toString()
    .split('\n')
    .map((text) => text.split(':'))) {
    if (line[0] === 'sec') {
      keys.push({ validity: line[1] ?? '', expires: line[6] ?? '', fingerprint: '' });
      open = true;
    } else if (line[0] === 'fpr' && open) {
      keys.at(-1)!.fingerprint = line[9] ?? '';
      open = false;
    } else if (line[0] === 'ssb') open = false;
  }
  const [key] = keys;
  if (key === undefined) throw bad('its secret key is not in this key ring');
  if (keys.length > 1) throw bad('several keys match that name: give the fingerprint');
  if (key.validity === 'e') throw bad('it has expired');
  if (key.validity === 'r') throw bad('it has been revoked');
  const expires = key.expires === '' ? undefined : Number(key.expires);
  return { fingerprint: key.fingerprint, expires };
}

/** Public keys, armored and as the binary key ring that apt wants. Error: `channel-key`. */
export async function exportKeys(fingerprints: readonly string[]): Promise<{ armored: string; binary: Buffer }> {
  const options = ['--batch', '--export-options', 'export-minimal'];
  const armored = await run('gpg', [...options, '--armor', '--export', ...fingerprints]);
  const binary = await run('gpg', [...options, '--export', ...fingerprints]);
  if (binary.stdout.length === 0) {
    throw failure('channel-key', { key: fingerprints.join(', '), problem: 'its public key is not in this key ring' });
  }
  return { armored: armored.stdout.toString(), binary: binary.stdout };
}

/**
 * SOURCE_DATE_EPOCH, where it is set, is the time of signatures too, so that a publication can be repeated byte for byte.
 * gpg does not freeze its clock at the second in which it starts (gnupg_set_time), and may then sign one second later:
 * this waits until that second is over.
 */
async function signingTime(): Promise<string[]> {
  const epoch = sourceDateEpoch();
  if (epoch === undefined) return [];
  const left = (epoch + 1) * 1000 - Date.now();
  if (left > 0 && left <= START_MS) await setTimeout(left);
  return ['--faked-system-time', `${epoch}!`];
}

/** Signs `content` with every key; `clear`: text and signature in one, else the signature alone, armored. */
export async function sign(
  content: string | Uint8Array,
  keys: readonly string[],
  form: 'clear' | 'detached',
): Promise<string> {
  const users = keys.flatMap((key) => ['--local-user', key]);
  const how = form === 'clear' ? ['--clear-sign'] : ['--armor', '--detach-sign'];
  const options = ['--batch', ...(await signingTime()), '--digest-algo', 'SHA512', ...users, ...how];
  const result = await run('gpg', options, { input: content, timeoutMs: PATIENCE_MS });
  if (result.status !== 0) {
    throw failure(
      'channel-key',
      { key: keys.join(', '), problem: 'gpg cannot sign with it' },
      { detail: result.stderr },
    );
  }
  return result.stdout.toString();
}

/** Puts the signature of a key into rpm packages. */
export async function signRpms(files: readonly string[], key: string): Promise<void> {
  const macros = [
    `_gpg_name ${key}`,
    '_gpg_digest_algo sha512',
    '__gpg /usr/bin/gpg',
    `_gpg_sign_cmd_extra_args ${['--batch', ...(await signingTime())].join(' ')}`,
  ].flatMap((macro) => ['--define', macro]);
  for (let at = 0; at < files.length; at += 100) {
    await runOk('rpmsign', [...macros, '--resign', ...files.slice(at, at + 100)], { timeoutMs: PATIENCE_MS });
  }
}

export interface Verification {
  readonly ok: boolean;
  /** What gpgv said, without its prefix. */
  readonly message: string;
}

/** Checks signatures against a binary key ring, as apt does: with gpgv, which knows no trust but the ring. */
export class KeyRing {
  readonly #folder = temporaryFolder('kpatch-ring-');
  readonly path: string;

  constructor(ring: Uint8Array) {
    this.path = join(this.#folder.path, 'ring.gpg');
    writeFileSync(this.path, ring);
  }

  /** Checks a clear-signed file, or a detached signature (first) over a file (second). */
  async verify(...files: readonly string[]): Promise<Verification> {
    const result = await run('gpgv', ['--keyring', this.path, ...files]);
    const lines = result.stderr.split('\n').filter((line) => !/Signature made|using \w+ key/.test(line));
    return {
      ok: result.status === 0,
      message: lines
        .map((line) => line.replace(/^gpgv: /, ''))
        .join(' ')
        .trim(),
    };
  }

  [Symbol.dispose](): void {
    this.#folder.dispose();
  }
}

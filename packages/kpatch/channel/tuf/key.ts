/** Keys of the TUF roles: Ed25519, in PEM files. Their names are those of the specification. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../../base/digest.ts';
import { failure } from '../../base/errors/error.ts';
import { readBytes, writeAtomically } from '../../base/files.ts';

export interface TufPublicKey {
  /** SHA-256 of the key in canonical JSON, hexadecimal (specification, section 4.2). */
  readonly id: string;
  /** The 32 bytes of the key, hexadecimal. */
  readonly hex: string;
}

export interface TufPrivateKey extends TufPublicKey {
  readonly key: KeyObject;
}

/** The name of an Ed25519 key: the digest of its canonical JSON, whose members are in order of their names. */
export function ed25519Id(hex: string): string {
  return sha256(`{"keytype":"ed25519","keyval":{"public":"${hex}"},"scheme":"ed25519"}`);
}

function publicPart(key: KeyObject, file: string): TufPublicKey {
  if (key.asymmetricKeyType !== 'ed25519') throw failure('tuf-key', { file, problem: 'it is not an Ed25519 key' });
  const hex = key.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');
  return { id: ed25519Id(hex), hex };
}

/** Reads a public key (PEM). Errors: `file-unreadable`, `tuf-key`. */
export function readTufPublicKey(file: string): TufPublicKey {
  const pem = readBytes(file);
  if (pem.includes('PRIVATE KEY')) {
    throw failure('tuf-key', { file, problem: 'it holds a private key; give the public part (FILE.pub)' });
  }
  return publicPart(
    parsed(() => createPublicKey(pem), file, 'it is not a public key in PEM form'),
    file,
  );
}

/** Gives the passphrase of an encrypted key; asked only for keys that need one. Errors: `tuf-passphrase`, `file-unreadable`. */
export type PassphraseOf = (file: string) => string;

const noPassphrase: PassphraseOf = (file) => {
  throw failure('tuf-passphrase', { file, problem: 'none was given' });
};

/** Reads a private key (PEM, plain or encrypted PKCS#8). Errors: `file-unreadable`, `tuf-key`, `tuf-passphrase`. */
export function readTufPrivateKey(file: string, passphraseOf: PassphraseOf = noPassphrase): TufPrivateKey {
  const pem = readBytes(file);
  if (!pem.includes('ENCRYPTED')) {
    const key = parsed(() => createPrivateKey(pem), file, 'it is not a private key in PEM form');
    return { ...publicPart(createPublicKey(key), file), key };
  }
  const passphrase = passphraseOf(file);
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: pem, passphrase });
  } catch (cause) {
    throw failure('tuf-passphrase', { file, problem: 'it does not open the key' }, { where: { file }, cause });
  }
  return { ...publicPart(createPublicKey(key), file), key };
}

function parsed<T>(read: () => T, file: string, problem: string): T {
  try {
    return read();
  } catch (cause) {
    throw failure('tuf-key', { file, problem }, { where: { file }, cause });
  }
}

/** The private keys of a folder: its files that end in `.key`. Errors: `file-unreadable`, `tuf-key`, `tuf-passphrase`. */
export function keysOfFolder(folder: string, passphraseOf?: PassphraseOf): TufPrivateKey[] {
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.key')) : [];
  return names.sort().map((name) => readTufPrivateKey(join(folder, name), passphraseOf));
}

/**
 * Makes a key pair: `file` for its owner alone, encrypted if there is a passphrase, and `file.pub` for everybody.
 * Errors: `tuf-key` if one is there already.
 */
export function makeTufKey(file: string, passphrase?: string): TufPublicKey {
  if (existsSync(file)) throw failure('tuf-key', { file, problem: 'it exists already' });
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const secret = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase };
  writeAtomically(file, privateKey.export({ type: 'pkcs8', format: 'pem', ...secret }).toString(), 0o600);
  writeAtomically(`${file}.pub`, publicKey.export({ type: 'spki', format: 'pem' }).toString());
  return publicPart(publicKey, file);
}

/** The signature over bytes, hexadecimal. */
export function signBytes(bytes: Uint8Array, { key }: TufPrivateKey): string {
  return sign(null, bytes, key).toString('hex');
}

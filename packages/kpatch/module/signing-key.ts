/** Private keys that sign proofs and attestations: Ed25519, or RSA and EC with SHA-256, in PEM form. */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { failure } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';
import { keyId, type PublicKey } from './public-key.ts';

export type KeyAlgorithm = 'ed25519' | 'sha256';

/** What a key of this type signs with. Error: `proof-key`. */
export function algorithmOf(key: KeyObject, file: string): KeyAlgorithm {
  const type = key.asymmetricKeyType;
  if (type === 'ed25519') return 'ed25519';
  if (type === 'rsa' || type === 'ec') return 'sha256';
  throw failure('proof-key', { file, problem: `keys of type ${type} are not supported` });
}

/** A private key that was read and can be used. */
export interface PrivateKey {
  readonly algorithm: KeyAlgorithm;
  /** See `keyId`. */
  readonly id: string;
  /** The signature of bytes. */
  sign(bytes: Uint8Array): Buffer;
}

/** Reads a private key in PEM form. Errors: `file-unreadable`, `proof-key`. */
export function readPrivateKey(file: string): PrivateKey {
  const pem = readBytes(file);
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw failure('proof-key', { file, problem: 'it is not a private key in PEM form' }, { cause });
  }
  const algorithm = algorithmOf(key, file);
  const id = keyId(createPublicKey(key));
  return { algorithm, id, sign: (bytes) => sign(algorithm === 'ed25519' ? null : 'sha256', bytes, key) };
}

/** True if `signature` is one of this key over the bytes. Error: `proof-key` for a key of another type. */
export function isSignedBy({ key, file }: PublicKey, bytes: Uint8Array, signature: Uint8Array): boolean {
  return verify(algorithmOf(key, file) === 'ed25519' ? null : 'sha256', bytes, key, signature);
}

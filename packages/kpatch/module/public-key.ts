/** Public keys that proofs and modules are checked with, known by the SHA-256 of their SubjectPublicKeyInfo. */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { failure } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';

export interface PublicKey {
  /** SHA-256 of the key in DER form (SubjectPublicKeyInfo), hexadecimal. */
  readonly id: string;
  readonly file: string;
  readonly key: KeyObject;
}

/** Reads a public key in PEM form. Errors: `file-unreadable`, `proof-key`. */
export function readPublicKey(file: string): PublicKey {
  return publicKeyOf(readBytes(file), file);
}

/** The same from bytes. A private key is refused: it has no business where only its public part is needed. */
export function publicKeyOf(pem: Uint8Array, file: string): PublicKey {
  const refuse = (problem: string, cause?: unknown): Error => failure('proof-key', { file, problem }, { cause });
  if (Buffer.from(pem).includes('PRIVATE KEY')) {
    throw refuse('it holds a private key; give the public part (openssl pkey -pubout)');
  }
  let key: KeyObject;
  try {
    key = createPublicKey(Buffer.from(pem));
  } catch (cause) {
    throw refuse('it is not a public key in PEM form', cause);
  }
  return { id: keyId(key), file, key };
}

/** The identity of a public key. */
export function keyId(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

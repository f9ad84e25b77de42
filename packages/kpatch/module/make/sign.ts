/** Signs a module like scripts/sign-file of the kernel; openssl(1) creates the CMS message. */
import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { readBytes, temporaryFolder } from '../../base/files.ts';
import { runOk } from '../../base/run.ts';
import { appendSignature } from '../../formats/appended-signature.ts';
import { readCertificate, readSignature, reason } from '../signature.ts';

/** Files of a private key (PEM) and its certificate (PEM or DER). */
export interface SigningKey {
  readonly key: string;
  readonly certificate: string;
}

/** The passphrase of an encrypted key, as the kernel build takes it. */
const PASSPHRASE = 'KBUILD_SIGN_PIN';

/**
 * Checks that a key and a certificate can be used and belong together.
 * Errors: `file-unreadable`, `sign-key-unusable`, `sign-certificate-unusable`, `sign-key-mismatch`.
 */
export function checkSigningKey({ key, certificate }: SigningKey): X509Certificate {
  const known = readCertificate(certificate);
  if (known.checkPrivateKey(readKey(key))) return known;
  throw failure('sign-key-mismatch', { key, certificate }, { where: { file: key } });
}

function readKey(file: string): KeyObject {
  const bytes = readBytes(file);
  const passphrase = process.env[PASSPHRASE];
  try {
    return createPrivateKey({ key: bytes, ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (cause) {
    throw failure('sign-key-unusable', { file, problem: reason(cause) }, { where: { file }, cause });
  }
}

/**
 * Signs a module; a signature that it has already is replaced. `hash` is the kernel's CONFIG_MODULE_SIG_HASH. With an RSA
 * key the same input gives the same bytes. Errors: those of `checkSigningKey`, `tool-missing`, `tool-failed`.
 */
export async function signModule(bytes: Uint8Array, signing: SigningKey, hash: string): Promise<Uint8Array> {
  const certificate = checkSigningKey(signing);
  const module = readSignature(bytes)?.module ?? bytes;
  using folder = temporaryFolder('kpatch-sign-');
  const content = join(folder.path, 'module');
  const signer = join(folder.path, 'certificate.pem');
  writeFileSync(content, module);
  writeFileSync(signer, certificate.toString());
  const args = ['-sign', '-binary', '-noattr', '-nocerts', '-nosmimecap', '-outform', 'DER', '-md', hash];
  const passphrase = process.env[PASSPHRASE] === undefined ? [] : ['-passin', `env:${PASSPHRASE}`];
  const files = ['-signer', signer, '-inkey', signing.key, '-in', content];
  const { stdout } = await runOk('openssl', ['cms', ...args, ...passphrase, ...files], { timeoutMs: 60_000 });
  return appendSignature({ module, message: stdout });
}

/**
 * The signature at the end of a module file, as the kernel reads it (include/linux/module_signature.h): the module, a
 * detached CMS message in DER form (RFC 5652), twelve bytes that say how long it is, and a magic string.
 */
import { X509Certificate } from 'node:crypto';
import { fail } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';
import { type CmsMessage, readCms } from '../formats/cms.ts';

/** MODULE_SIG_STRING. */
export const signatureMagic = '~Module signature appended~\n';
/**
 * sizeof(struct module_signature): algo, hash, id_type, signer_len, key_id_len, 3 bytes of padding, sig_len (big-endian).
 */
export const TRAILER = 12;
/** PKEY_ID_PKCS7, the only kind that kernels since 4.3 take. */
export const PKCS7 = 2;

/** What the end of a module says. Nothing of it is verified: see `signature-rules.ts`. */
export interface ModuleSignature extends CmsMessage {
  /** The module as it was signed: what the manifest's and the proof's digests are of. */
  readonly module: Uint8Array;
  /** The CMS message. */
  readonly message: Uint8Array;
}

/** True if a signature is appended. */
export function isSigned(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(-signatureMagic.length)).toString('latin1') === signatureMagic;
}

/** The signature of a module file; undefined if none is appended. Error: `signature-malformed`. */
export function readSignature(bytes: Uint8Array, file = 'module'): ModuleSignature | undefined {
  if (!isSigned(bytes)) return undefined;
  const malformed = (problem: string): Error => fail('signature-malformed', { file, problem }, { where: { file } });
  const end = bytes.length - signatureMagic.length - TRAILER;
  if (end < 0) throw malformed('the file is too short');
  const trailer = Buffer.from(bytes.subarray(end, end + TRAILER));
  const length = trailer.readUInt32BE(8);
  if (trailer[2] !== PKCS7) throw malformed(`it has type ${trailer[2]}, not PKCS#7`);
  // mod_check_sig (kernel/module_signature.c) refuses anything in the other fields.
  if (trailer.subarray(0, 8).some((byte, index) => index !== 2 && byte !== 0))
    throw malformed('fields that must be 0 are not');
  if (length === 0 || length > end) throw malformed(`it should be ${length} bytes long`);
  const message = bytes.subarray(end - length, end);
  const parts = readCms(message);
  if (typeof parts === 'string') throw malformed(parts);
  return { ...parts, module: bytes.subarray(0, end - length), message };
}

/** Reads a certificate, PEM or DER. Errors: `file-unreadable`, `sign-certificate-unusable`. */
export function readCertificate(file: string): X509Certificate {
  return certificateOf(readBytes(file), file);
}

/** The same from bytes. */
export function certificateOf(bytes: Uint8Array, file: string): X509Certificate {
  try {
    return new X509Certificate(bytes);
  } catch (cause) {
    throw fail('sign-certificate-unusable', { file, problem: reason(cause) }, { where: { file }, cause });
  }
}

/** The words of an error of node:crypto without their numbers. */
export function reason(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text
    .replace(/^error:[0-9A-F]+:/i, '')
    .replace(/^:*/, '')
    .trim();
}

/** The signature of a module file, read and not judged, and certificates. */
import { X509Certificate } from 'node:crypto';
import { failure } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';
import { type SignedModule, splitSignature } from '../formats/appended-signature.ts';
import { type CmsMessage, readCms } from '../formats/cms.ts';

/**
 * What the signature of a module says. Nothing of it is verified: see `signature-rules.ts`. `module` is the module as it was
 * signed: what the digests in manifest and proof are of.
 */
export interface ModuleSignature extends CmsMessage, SignedModule {}

/** The signature of a module file; undefined if none is appended. Error: `signature-malformed`. */
export function readSignature(bytes: Uint8Array, file = 'module'): ModuleSignature | undefined {
  const parts = splitSignature(bytes);
  if (parts === undefined) return undefined;
  const read = typeof parts === 'string' ? parts : readCms(parts.message);
  if (typeof parts === 'string' || typeof read === 'string')
    throw failure('signature-malformed', { file, problem: String(read) }, { where: { file } });
  return { ...read, ...parts };
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
    throw failure('sign-certificate-unusable', { file, problem: reason(cause) }, { where: { file }, cause });
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

/**
 * The signature at the end of a module file, as the kernel reads it (include/linux/module_signature.h): the module, a
 * detached CMS message in DER form (RFC 5652), twelve bytes that say how long it is, and a magic string.
 */
import { createPublicKey, verify, X509Certificate } from 'node:crypto';
import { fail } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';
import { type Element, elementsOf, oidText, TAG } from '../formats/der.ts';

/** MODULE_SIG_STRING. */
export const signatureMagic = '~Module signature appended~\n';
/** sizeof(struct module_signature): algo, hash, id_type, signer_len, key_id_len, 3 bytes of padding, sig_len (big-endian). */
export const TRAILER = 12;
/** PKEY_ID_PKCS7, the only kind that kernels since 4.3 take. */
export const PKCS7 = 2;

export interface ModuleSignature {
  /** The module as it was signed: what the manifest's and the proof's digests are of. */
  readonly module: Uint8Array;
  /** The CMS message. */
  readonly message: Uint8Array;
  /** Name of the digest, as `sha256`. */
  readonly hash: string;
  /** Common name of the certificate's issuer, which is the signer's own for self-signed keys. */
  readonly signer: string;
  /** Serial number of the certificate, upper-case hexadecimal; the key's identifier where the message names that instead. */
  readonly serial: string;
  /** The signature proper. */
  readonly value: Uint8Array;
}

const hashes: Readonly<Record<string, string>> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
  '2.16.840.1.101.3.4.2.4': 'sha224',
  '2.16.840.1.101.3.4.2.8': 'sha3-256',
  '2.16.840.1.101.3.4.2.9': 'sha3-384',
  '2.16.840.1.101.3.4.2.10': 'sha3-512',
};

/** True where a signature is appended. */
export function isSigned(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(-signatureMagic.length)).toString('latin1') === signatureMagic;
}

/** The signature of a module file; undefined where none is appended. Error: `signature-malformed`. */
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
  const parts = readMessage(message);
  if (typeof parts === 'string') throw malformed(parts);
  return { module: bytes.subarray(0, end - length), message, ...parts };
}

/** ContentInfo → SignedData → the one SignerInfo (RFC 5652, section 5). A string says what is wrong. */
function readMessage(message: Uint8Array): Pick<ModuleSignature, 'hash' | 'signer' | 'serial' | 'value'> | string {
  const info = inside(elementsOf(message)?.[0], TAG.SEQUENCE);
  const signedData = inside(inside(info?.[1], TAG.CONTEXT_0)?.[0], TAG.SEQUENCE);
  const signers = inside(signedData?.at(-1), TAG.SET);
  const signer = inside(signers?.[0], TAG.SEQUENCE);
  if (signers === undefined || signer === undefined) return 'it is not a signed CMS message';
  if (signers.length > 1) return 'it has several signers, which the kernel does not support';
  const [, identifier, digest, ...rest] = signer;
  // Signed attributes would stand between digest and algorithm; sign-file of the kernel makes none.
  if (rest[0]?.tag === TAG.CONTEXT_0) return 'it has signed attributes, which kpatch does not support';
  const algorithm = inside(digest, TAG.SEQUENCE)?.[0];
  const value = rest[1];
  if (algorithm?.tag !== TAG.OID || value?.tag !== TAG.OCTETS || identifier === undefined)
    return 'its signer is incomplete';
  const oid = oidText(algorithm.content);
  const hash = hashes[oid];
  if (hash === undefined) return `its digest ${oid} is unknown`;
  return { hash, ...readIdentifier(identifier), value: value.content };
}

function readIdentifier(identifier: Element): { signer: string; serial: string } {
  const [issuer, serial] = inside(identifier, TAG.SEQUENCE) ?? [];
  if (issuer === undefined || serial === undefined) return { signer: '', serial: hex(identifier.content) };
  const names = (inside(issuer, TAG.SEQUENCE) ?? []).map((set) => inside(inside(set, TAG.SET)?.[0], TAG.SEQUENCE));
  const common = names.find((pair) => pair?.[0] !== undefined && oidText(pair[0].content) === '2.5.4.3')?.[1];
  const signer = common === undefined ? '' : Buffer.from(common.content).toString('utf8');
  return { signer, serial: hex(serial.content).replace(/^00(?=.)/, '') };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex').toUpperCase();

function inside(element: Element | undefined, tag: number): Element[] | undefined {
  return element?.tag === tag ? elementsOf(element.content) : undefined;
}

/** Reads a certificate, PEM or DER. Errors: `file-unreadable`, `sign-certificate-unusable`. */
export function readCertificate(file: string): X509Certificate {
  const bytes = readBytes(file);
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

/**
 * Verifies that the module was signed by the key of a certificate (a file) and gives the signature. What the kernel itself
 * trusts is another question: it looks in its own keyrings.
 * Errors: `signature-malformed` (also where there is none), `signature-wrong`, those of `readCertificate`.
 */
export function verifySignature(bytes: Uint8Array, certificateFile: string, file = 'module'): ModuleSignature {
  const certificate = readCertificate(certificateFile);
  const signature = readSignature(bytes, file);
  if (signature === undefined)
    throw fail('signature-malformed', { file, problem: 'the module is not signed' }, { where: { file } });
  const { hash, module, value } = signature;
  if (!isValid(hash, module, certificate, value)) {
    throw fail('signature-wrong', { file, certificate: certificateFile }, { where: { file } });
  }
  return signature;
}

function isValid(hash: string, module: Uint8Array, certificate: X509Certificate, value: Uint8Array): boolean {
  try {
    return verify(hash, module, createPublicKey(certificate.publicKey.export({ type: 'spki', format: 'pem' })), value);
  } catch {
    return false; // a key of a kind that cannot have made this signature
  }
}

/**
 * Two separate questions about a module's signature: would the kernel take it, and does this host want it. The kernel's
 * verifier knows no clock and takes no authenticated attributes; a host asks for a strong digest, a strong key, a
 * certificate in its time, and a message without anything beside the signature.
 */
import { verify, type X509Certificate } from 'node:crypto';
import { failure } from '../base/errors/error.ts';
import { printableLine } from '../base/text/printable.ts';
import { ID_DATA } from '../formats/cms.ts';
import { type ModuleSignature, readCertificate, readSignature } from './signature.ts';

export interface SignatureDemand {
  /** Names of the digests that count. */
  readonly hashes: readonly string[];
  readonly minimumRsaBits: number;
  /** When the certificate must be valid; any time unless given. */
  readonly at?: Date;
}

/** The default requirements for a signature. */
export const usualDemand: SignatureDemand = {
  hashes: ['sha256', 'sha384', 'sha512', 'sha3-256', 'sha3-384', 'sha3-512'],
  minimumRsaBits: 2048,
};

/**
 * Why the kernel refuses the message, whatever its keys: crypto/asymmetric_keys/pkcs7_verify.c (pkcs7_verify for
 * VERIFYING_MODULE_SIGNATURE). Such an error is final also where signatures are not enforced (kernel/module/signing.c).
 */
export function kernelProblem({ contentType, attributes, attached }: ModuleSignature): string | undefined {
  if (contentType !== ID_DATA) return `its content is of the type ${contentType || 'unknown'}, not data`;
  if (attributes) return 'it has authenticated attributes';
  return attached ? 'it carries content of its own' : undefined;
}

/** Who signed a module, or why its signature does not count. */
export type Judged = { readonly signer: X509Certificate } | { readonly problem: string; readonly weak?: true };

/** Judges the signature of a module by the certificates that are trusted for it. Never throws. */
export function judgeSignature(
  bytes: Uint8Array,
  certificates: readonly X509Certificate[],
  demand: SignatureDemand = usualDemand,
): Judged {
  let signature: ModuleSignature | undefined;
  try {
    signature = readSignature(bytes);
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
  if (signature === undefined) return { problem: 'it is not signed' };
  const problem = kernelProblem(signature) ?? messageProblem(signature);
  if (problem !== undefined) return { problem: `its signature does not count: ${problem}` };
  const found = certificates.find((certificate) => isValid(signature, certificate));
  if (found === undefined) return { problem: 'its signature was not made with a key that is trusted here' };
  const weakness = digestProblem(signature, demand) ?? certificateProblem(found, demand);
  return weakness === undefined
    ? { signer: found }
    : { problem: `its signature does not count: ${weakness}`, weak: true };
}

/**
 * Verifies that the module was signed by the key of a certificate (a file) and gives that certificate.
 * Errors: `signature-malformed` (also where there is none), `signature-wrong`, `signature-weak`, those of
 * `readCertificate`.
 */
export function verifySignature(
  bytes: Uint8Array,
  certificateFile: string,
  file = 'module',
  demand: SignatureDemand = { ...usualDemand, at: new Date() },
): { readonly signature: ModuleSignature; readonly signer: X509Certificate } {
  const certificate = readCertificate(certificateFile);
  const where = { where: { file } };
  const signature = readSignature(bytes, file);
  if (signature === undefined) throw failure('signature-malformed', { file, problem: 'there is none' }, where);
  const problem = kernelProblem(signature) ?? messageProblem(signature);
  if (problem !== undefined) throw failure('signature-malformed', { file, problem }, where);
  if (!isValid(signature, certificate)) throw failure('signature-wrong', { file, certificate: certificateFile }, where);
  const weakness = digestProblem(signature, demand) ?? certificateProblem(certificate, demand);
  if (weakness !== undefined) throw failure('signature-weak', { file, problem: weakness }, where);
  return { signature, signer: certificate };
}

/** The common name of a certificate's subject, fit for a line of text. A message's own words are never shown as a name. */
export function certificateName({ subject, fingerprint256 }: X509Certificate): string {
  const common = /^CN=(.*)$/m.exec(subject ?? '')?.[1];
  return printableLine(common ?? `certificate ${fingerprint256}`);
}

/** What the kernel overlooks and a host should not: room for anything in a file that counts as signed. */
function messageProblem({ signers, trailing, der }: ModuleSignature): string | undefined {
  if (signers !== 1) return `it has ${signers} signers`;
  if (trailing > 0) return `${trailing} bytes follow the message`;
  return der ? undefined : 'it is not in DER form';
}

function digestProblem({ hash }: ModuleSignature, { hashes }: SignatureDemand): string | undefined {
  return hashes.includes(hash) ? undefined : `its digest ${hash} is not allowed (allowed: ${hashes.join(', ')})`;
}

function certificateProblem(certificate: X509Certificate, demand: SignatureDemand): string | undefined {
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
  const bits = asymmetricKeyDetails?.modulusLength;
  if (asymmetricKeyType === 'rsa' && (bits ?? 0) < demand.minimumRsaBits) {
    return `its RSA key has ${bits} bits (at least ${demand.minimumRsaBits} are asked for)`;
  }
  const { at } = demand;
  if (at === undefined) return undefined;
  if (at < certificate.validFromDate) return `the certificate is valid from ${certificate.validFromDate.toISOString()}`;
  if (at > certificate.validToDate) return `the certificate expired on ${certificate.validToDate.toISOString()}`;
  return undefined;
}

function isValid({ hash, module, value }: ModuleSignature, certificate: X509Certificate): boolean {
  try {
    return verify(hash, module, certificate.publicKey, value);
  } catch {
    return false; // an unknown digest, or a key of a kind that cannot have made this signature
  }
}

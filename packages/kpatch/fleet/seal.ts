/**
 * The key of a machine and its signed reports: DSSE envelopes with Ed25519. The server opens them with the same functions.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { storedDocument } from '../documents/form.ts';
import { preAuthentication } from '../provenance/envelope.ts';
import type { FleetReport } from './place.ts';

/** The media type that the signature covers, so that no other document can pass for a report. */
export const reportType = 'application/vnd.kpatch.fleet-report+json';

/** The DER header of an Ed25519 public key (RFC 8410, section 4), which 32 bytes follow. */
const spkiHeader = Buffer.from('302a300506032b6570032100', 'hex');

export interface HostKey {
  /** The 32 bytes of the public key. */
  readonly public: Buffer;
  readonly id: string;
  sign(bytes: Uint8Array): Buffer;
}

/** The name of a machine in its fleet follows from its key. */
export function hostIdOf(key: Uint8Array): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 32);
}

/** A new private key in PEM form. */
export function newHostKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

/** The key in a PEM text. It throws if that is not an Ed25519 private key. */
export function hostKeyOf(pem: string | Buffer): HostKey {
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`it is a key of type ${key.asymmetricKeyType}`);
  const bytes = (createPublicKey(key).export({ type: 'spki', format: 'der' }) as Buffer).subarray(spkiHeader.length);
  return { public: bytes, id: hostIdOf(bytes), sign: (text) => sign(null, text, key) };
}

/** A public key from its 32 bytes. */
export function publicKeyFrom(bytes: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([spkiHeader, bytes]), format: 'der', type: 'spki' });
}

/** What a machine signs to show that it has the key with which it joins. */
export function joinText(token: string): Buffer {
  return Buffer.from(`kpatch-fleet-join ${token}`);
}

export function verifyWith(key: KeyObject, text: Uint8Array, signature: Uint8Array): boolean {
  return signature.length === 64 && verify(null, text, key, signature);
}

/** The report in its envelope, as it is sent: one line of JSON. */
export function sealReport(report: FleetReport, key: HostKey): string {
  const payload = Buffer.from(JSON.stringify(report));
  const sig = key.sign(preAuthentication(reportType, payload)).toString('base64');
  return JSON.stringify({
    payloadType: reportType,
    payload: payload.toString('base64'),
    signatures: [{ keyid: key.id, sig }],
  });
}

/** An envelope whose signature was not verified yet. */
export interface SealedReport {
  readonly host: string;
  readonly payload: Buffer;
  readonly signature: Buffer;
}

/** The parts of an envelope; undefined if it is not one. */
export function readSealed(value: unknown): SealedReport | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { payloadType, payload, signatures } = value as Readonly<Record<string, unknown>>;
  if (
    payloadType !== reportType ||
    typeof payload !== 'string' ||
    !Array.isArray(signatures) ||
    signatures.length !== 1
  )
    return undefined;
  const { keyid, sig } = (signatures[0] ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof keyid !== 'string' || !/^[0-9a-f]{32}$/.test(keyid) || typeof sig !== 'string') return undefined;
  return { host: keyid, payload: Buffer.from(payload, 'base64'), signature: Buffer.from(sig, 'base64') };
}

/**
 * The report in an envelope, if this key signed it and it is a report of its host; otherwise a problem in words. The bytes
 * that were verified are the bytes that are parsed.
 */
export function openReport({ host, payload, signature }: SealedReport, key: KeyObject): FleetReport | string {
  if (!verifyWith(key, preAuthentication(reportType, payload), signature)) return 'the signature does not match';
  try {
    const report = storedDocument('kpatch.fleet-report/1', JSON.parse(payload.toString('utf8')));
    return report.host === host ? report : 'it is the report of another host';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

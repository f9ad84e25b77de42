/**
 * DSSE envelopes (Dead Simple Signing Envelope v1, github.com/secure-systems-lab/dsse) around in-toto statements. The format is
 * a JSON object with three members, and what is signed is one line of text before the payload: no library is needed.
 */
import { failure } from '../base/errors/error.ts';
import { parseStrict } from '../base/strict-json.ts';
import type { envelopeDocument } from '../documents/definitions/provenance.ts';
import type { Content } from '../documents/document.ts';
import type { PublicKey } from '../module/public-key.ts';
import { isSignedBy, type PrivateKey } from '../module/signing-key.ts';

export type Envelope = Content<typeof envelopeDocument>;

/** The media type of in-toto statements (in-toto attestation framework, envelope layer). */
export const payloadType = 'application/vnd.in-toto+json';

/** No statement is larger (bytes): the patches are in it. */
const LIMIT = 32 << 20;

/** A document that was read from an envelope, and who signed it. */
export interface Opened {
  readonly payload: unknown;
  /** Keys that signed it, of those that were given. */
  readonly signedBy: readonly string[];
  /** What the envelope says of its signers. It is verified only for keys in `signedBy`. */
  readonly claimed: readonly string[];
}

/** The bytes that a signature covers: the pre-authentication encoding of DSSE v1. */
export function preAuthentication(type: string, payload: Uint8Array): Buffer {
  return Buffer.concat([
    Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `),
    Buffer.from(payload),
  ]);
}

/** Puts a statement into an envelope, signed if a key is given. The same statement and Ed25519 key give the same bytes. */
export function seal(statement: object, key: PrivateKey | undefined): string {
  const payload = Buffer.from(JSON.stringify(statement));
  const signatures =
    key === undefined
      ? []
      : [{ keyid: key.id, sig: key.sign(preAuthentication(payloadType, payload)).toString('base64') }];
  const envelope: Envelope = { payloadType, payload: payload.toString('base64'), signatures };
  return `${JSON.stringify(envelope, null, 1)}\n`;
}

/**
 * Reads an envelope and verifies its signatures with the keys that are given: the bytes that were verified are the bytes that
 * are parsed. Errors: `provenance-invalid`, also for a signature by one of the keys that does not match; `proof-key`.
 */
export function open(bytes: Uint8Array, file: string, keys: readonly PublicKey[]): Opened {
  const refuse = (problem: string): Error => failure('provenance-invalid', { file, problem }, { where: { file } });
  if (bytes.length > LIMIT) throw refuse(`it is larger than ${LIMIT >> 20} MiB`);
  const envelope = parsed(Buffer.from(bytes).toString('utf8'), refuse);
  const problem = envelopeProblem(envelope);
  if (problem !== undefined) throw refuse(problem);
  const { payload, signatures } = envelope as Envelope;
  const content = base64(payload);
  if (content === undefined) throw refuse('its payload is not base64');
  const signed = preAuthentication(payloadType, content);
  const signedBy: string[] = [];
  for (const { keyid, sig } of signatures) {
    const signature = base64(sig);
    if (signature === undefined) throw refuse('a signature is not base64');
    // The identity of a key is only a hint (DSSE, protocol.md): without it each key is tried.
    const candidates = keys.filter(({ id }) => keyid === undefined || id === keyid);
    const found = candidates.find((key) => isSignedBy(key, signed, signature));
    if (found !== undefined) signedBy.push(found.id);
    else if (keyid !== undefined && candidates.length > 0)
      throw refuse('its signature does not match its content: it was changed after it was signed');
  }
  return {
    payload: parsed(content.toString('utf8'), (text) => refuse(`its statement: ${text}`)),
    signedBy: [...new Set(signedBy)],
    claimed: signatures.map(({ keyid }) => keyid ?? ''),
  };
}

function parsed(text: string, refuse: (problem: string) => Error): unknown {
  try {
    return parseStrict(text);
  } catch (error) {
    throw refuse(error instanceof SyntaxError ? 'it is not JSON' : (error as Error).message);
  }
}

function envelopeProblem(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'it is not a DSSE envelope';
  const { payloadType: type, payload, signatures } = value as Partial<Record<keyof Envelope, unknown>>;
  if (type !== payloadType) return `its payload type is not ${payloadType}`;
  if (typeof payload !== 'string') return 'it has no payload';
  if (!Array.isArray(signatures) || signatures.length > 16) return 'it has no list of at most 16 signatures';
  const fits = signatures.every((one: unknown) => {
    const { keyid, sig } = (typeof one === 'object' && one !== null ? one : {}) as { keyid?: unknown; sig?: unknown };
    return (
      typeof sig === 'string' && (keyid === undefined || (typeof keyid === 'string' && /^[\w:.-]{1,128}$/.test(keyid)))
    );
  });
  return fits ? undefined : 'a signature is malformed';
}

/** The bytes of standard or URL-safe base64 text; undefined if it is neither. */
function base64(text: string): Buffer | undefined {
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) return undefined;
  return Buffer.from(text, 'base64');
}

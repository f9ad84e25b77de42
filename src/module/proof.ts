/**
 * The proof file, `MODULE.proof.json`: what `kpatch prove` saw, with the digests of everything it was seen on. A signature
 * is over the document without its member `signature`, as compact JSON with the members in the order of the file.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { fail } from '../errors/error.ts';
import { readBytes } from '../util/files.ts';

export const proofSchema = 'kpatch.proof/1';

export interface ProofCheck {
  readonly check: string;
  readonly boot: string;
  /** The claim as a sentence. */
  readonly title: string;
  readonly outcome: 'held' | 'failed' | 'not run';
  readonly reason?: string;
  /** `varies` marks what differs from run to run: times, counts, addresses. */
  readonly evidence: readonly {
    readonly text: string;
    readonly data?: object;
    readonly varies?: boolean;
    readonly detail?: string;
  }[];
  readonly ms: number;
}

export interface ProofSignature {
  readonly algorithm: 'ed25519' | 'sha256';
  /** SHA-256 of the public key in DER form (SubjectPublicKeyInfo), hexadecimal. */
  readonly key: string;
  /** Base64. */
  readonly value: string;
}

export interface Proof {
  readonly schema: typeof proofSchema;
  readonly verdict: 'proven' | 'not proven';
  readonly reasons: readonly string[];
  readonly plan: string;
  readonly module: { readonly name: string; readonly file: string; readonly sha256: string };
  readonly kernel: { readonly release: string; readonly image: string; readonly buildId?: string };
  /** Every other file that went in: test script, predecessors, the user's checks; `sha256` of each. */
  readonly inputs: readonly { readonly role: string; readonly name: string; readonly sha256: string }[];
  readonly tool: string;
  readonly qemu: string;
  /** ISO 8601, UTC. */
  readonly made: string;
  readonly checks: readonly ProofCheck[];
  readonly boots: readonly {
    readonly boot: string;
    readonly title: string;
    readonly acceleration: string;
    readonly bootMs: number;
    /** SHA-256 of the kept guest that was resumed; absent where the kernel was booted. */
    readonly kept?: string;
    readonly console: string;
  }[];
  readonly ms: number;
  readonly signature?: ProofSignature;
}

/** Signs a proof with a private key in PEM form. Errors: `file-unreadable`, `proof-key`. */
export function signProof(proof: Proof, keyFile: string): Proof {
  const pem = readBytes(keyFile);
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw fail('proof-key', { file: keyFile, problem: 'it is no private key in PEM form' }, { cause });
  }
  const algorithm = algorithmOf(key, keyFile);
  const value = sign(algorithm === 'ed25519' ? null : 'sha256', signedBytes(proof), key).toString('base64');
  const { signature: _, ...unsigned } = proof;
  return { ...unsigned, signature: { algorithm, key: keyId(createPublicKey(key)), value } };
}

/** What a proof must be about to count. */
export interface ProofDemand {
  /** SHA-256 of the module file. */
  readonly module: string;
  /** As `uname -r`. */
  readonly release: string;
  /** SHA-256 of the kernel image or its GNU build-id, where they are known; each that is given must agree. */
  readonly image?: string;
  readonly buildId?: string;
  /** Files with public keys (PEM); where any is given, a signature by one of them is demanded. */
  readonly keys?: readonly string[];
}

/**
 * Reads a proof and checks that it counts: whole, proven, of this module, on this kernel, signed by one of the keys.
 * Errors: `proof-invalid` with what is wrong, `proof-key`, `file-unreadable`.
 */
export function requireProof(file: string, demand: ProofDemand): Proof {
  const refuse = (problem: string): Error => fail('proof-invalid', { file, problem }, { where: { file } });
  const proof = readProof(file);
  if (proof.verdict !== 'proven') throw refuse(`its verdict is "${proof.verdict}"`);
  const open = proof.checks.find(({ outcome }) => outcome !== 'held');
  if (open !== undefined) throw refuse(`the check ${open.check} did not hold`);
  if (proof.checks.length === 0) throw refuse('it has no checks');
  if (proof.module.sha256 !== demand.module) throw refuse('it is the proof of another module file');
  const { release, image, buildId } = proof.kernel;
  if (release !== demand.release) throw refuse(`it was made on ${release}, not on ${demand.release}`);
  if (demand.image !== undefined && image !== demand.image) throw refuse('it was made on another image of this kernel');
  if (demand.buildId !== undefined && buildId !== undefined && buildId !== demand.buildId) {
    throw refuse('it was made on another build of this kernel');
  }
  if (demand.keys !== undefined && demand.keys.length > 0) checkSignature(proof, demand.keys, refuse);
  return proof;
}

/** Reads a proof file without judging it. Errors: `file-unreadable`, `proof-invalid` where it is none. */
export function readProof(file: string): Proof {
  const refuse = (problem: string): Error => fail('proof-invalid', { file, problem }, { where: { file } });
  const bytes = readBytes(file);
  if (bytes.length > 100_000_000) throw refuse('it is larger than 100 MB');
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw refuse('it is not JSON');
  }
  const problem = problemOf(value);
  if (problem !== undefined) throw refuse(problem);
  return value as Proof;
}

function checkSignature(proof: Proof, keys: readonly string[], refuse: (problem: string) => Error): void {
  const { signature } = proof;
  if (signature === undefined) throw refuse('it is not signed');
  for (const file of keys) {
    const pem = readBytes(file);
    let key: KeyObject;
    try {
      key = createPublicKey(pem);
    } catch (cause) {
      throw fail('proof-key', { file, problem: 'it is no public key in PEM form' }, { cause });
    }
    if (keyId(key) !== signature.key) continue;
    const algorithm = algorithmOf(key, file) === 'ed25519' ? null : 'sha256';
    if (verify(algorithm, signedBytes(proof), key, Buffer.from(signature.value, 'base64'))) return;
    throw refuse('its signature does not fit its content: it was changed after it was signed');
  }
  throw refuse(`it is signed by a key that is not trusted here (${signature.key.slice(0, 16)}…)`);
}

function signedBytes(proof: Proof): Buffer {
  const { signature: _, ...unsigned } = proof;
  return Buffer.from(JSON.stringify(unsigned));
}

function keyId(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

function algorithmOf(key: KeyObject, file: string): ProofSignature['algorithm'] {
  const type = key.asymmetricKeyType;
  if (type === 'ed25519') return 'ed25519';
  if (type === 'rsa' || type === 'ec') return 'sha256';
  throw fail('proof-key', { file, problem: `keys of the kind ${type} are not supported` });
}

type Test = (value: unknown) => boolean;
const text: Test = (value) => typeof value === 'string';
const hex: Test = (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
const listOf =
  (test: Test): Test =>
  (value) =>
    Array.isArray(value) && value.every(test);
const record =
  (fields: Readonly<Record<string, Test>>): Test =>
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    Object.entries(fields).every(([k, test]) => test((value as never)[k]));

const evidence = record({ text });
const fields: Readonly<Record<string, Test>> = {
  schema: (value) => value === proofSchema,
  verdict: (value) => value === 'proven' || value === 'not proven',
  reasons: listOf(text),
  plan: text,
  module: record({ name: text, file: text, sha256: hex }),
  kernel: record({ release: text, image: hex }),
  inputs: listOf(record({ role: text, name: text, sha256: hex })),
  tool: text,
  qemu: text,
  made: text,
  checks: listOf(
    record({
      check: text,
      boot: text,
      title: text,
      outcome: (value) => value === 'held' || value === 'failed' || value === 'not run',
      evidence: listOf(evidence),
    }),
  ),
  boots: listOf(record({ boot: text, title: text, console: text })),
  signature: (value) => value === undefined || record({ algorithm: text, key: hex, value: text })(value),
};

function problemOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return 'it is not an object';
  const wrong = Object.entries(fields).find(([name, test]) => !test((value as Record<string, unknown>)[name]));
  return wrong === undefined ? undefined : `the member "${wrong[0]}" is missing or wrong`;
}

/**
 * The proof file, `MODULE.proof.json`: what `kpatch prove` saw, with the digests of everything it was seen on. A signature
 * is over the document without its member `signature`, as compact JSON with the members in the order of the file.
 */
import { fail } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';
import { isPlainText } from '../base/printable.ts';
import { parseStrict } from '../base/strict-json.ts';
import { type PublicKey, readPublicKey } from './public-key.ts';
import { isSignedBy, type KeyAlgorithm, readPrivateKey } from './signing-key.ts';

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
  readonly algorithm: KeyAlgorithm;
  /** SHA-256 of the public key in DER form (SubjectPublicKeyInfo), hexadecimal. */
  readonly key: string;
  /** Base64. */
  readonly value: string;
}

export interface Proof {
  readonly schema: typeof proofSchema;
  /** `proven except NAMES`: all that was tried held, but these modules of the kernel could not be run in a guest. */
  readonly verdict: 'proven' | 'not proven' | `proven except ${string}`;
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
    /** SHA-256 of the kept guest that was resumed; absent if the kernel was booted. */
    readonly kept?: string;
    /** ISO 8601, UTC: when this boot ended, if it ran before the proof was interrupted. */
    readonly ran?: string;
    readonly console: string;
  }[];
  readonly ms: number;
  readonly signature?: ProofSignature;
}

/** Signs a proof with a private key in PEM form. Errors: `file-unreadable`, `proof-key`. */
export function signProof(proof: Proof, keyFile: string): Proof {
  const { algorithm, id, sign } = readPrivateKey(keyFile);
  const { signature: _, ...unsigned } = proof;
  return { ...unsigned, signature: { algorithm, key: id, value: sign(signedBytes(proof)).toString('base64') } };
}

/** What a proof must be about to count. */
export interface ProofDemand {
  /** SHA-256 of the module file. */
  readonly module: string;
  /** Like `uname -r`. */
  readonly release: string;
  /** SHA-256 of the kernel image or its GNU build-id, where they are known; each that is given must agree. */
  readonly image?: string;
  readonly buildId?: string;
  /** Public keys, or files with them (PEM); where any is given, a signature by one of them is demanded. */
  readonly keys?: readonly (string | PublicKey)[];
  /** Names of the plans that count; any unless given. */
  readonly plans?: readonly string[];
  /** True if the author's test must have been part of it. */
  readonly test?: boolean;
  /** When it must have been made, ISO 8601 limits; a proof from the future has a wrong age. */
  readonly made?: { readonly from: Date; readonly to: Date };
  /** True if the verdict `proven except ...` counts too. */
  readonly except?: boolean;
}

/**
 * Reads a proof and checks that it counts: whole, proven, of this module, on this kernel, signed by one of the keys.
 * Errors: `proof-invalid` with what is wrong, `proof-key`, `file-unreadable`.
 */
export function requireProof(file: string, demand: ProofDemand): Proof {
  return requireProofBytes(readBytes(file), file, demand);
}

/** The same for bytes that were read before: what is checked is what is kept. */
export function requireProofBytes(bytes: Uint8Array, file: string, demand: ProofDemand): Proof {
  const proof = parseProof(bytes, file);
  const problem = shortfall(proof, demand);
  if (problem !== undefined) throw fail('proof-invalid', { file, problem }, { where: { file } });
  return proof;
}

/** Reads a proof file without judging it. Errors: `file-unreadable`, `proof-invalid` if it is not a proof. */
export function readProof(file: string): Proof {
  return parseProof(readBytes(file), file);
}

/** The same for bytes that were read before. */
export function parseProof(bytes: Uint8Array, file: string): Proof {
  const refuse = (problem: string): Error => fail('proof-invalid', { file, problem }, { where: { file } });
  if (bytes.length > 100_000_000) throw refuse('it is larger than 100 MB');
  let value: unknown;
  try {
    value = parseStrict(Buffer.from(bytes).toString('utf8'));
  } catch (error) {
    throw refuse(error instanceof SyntaxError ? 'it is not JSON' : (error as Error).message);
  }
  const problem = problemOf(value);
  if (problem !== undefined) throw refuse(problem);
  return value as Proof;
}

/** Why a proof does not meet a demand; undefined if it does. Error: `proof-key`. */
function shortfall(proof: Proof, demand: ProofDemand): string | undefined {
  return (
    verdictProblem(proof, demand.except ?? false) ??
    subjectProblem(proof, demand) ??
    contentProblem(proof, demand) ??
    (demand.keys === undefined || demand.keys.length === 0 ? undefined : signatureProblem(proof, demand.keys))
  );
}

function verdictProblem({ verdict, checks }: Proof, except: boolean): string | undefined {
  const excepted = except && verdict.startsWith('proven except ');
  if (verdict !== 'proven' && !excepted) {
    const rule = verdict.startsWith('proven except ')
      ? '; exceptions count only where the host policy allows them'
      : '';
    return `its verdict is "${verdict}"${rule}`;
  }
  if (checks.length === 0) return 'it has no checks';
  const open = checks.find(({ outcome }) => outcome !== 'held' && !(excepted && outcome === 'not run'));
  return open === undefined ? undefined : `the check ${open.check} did not pass`;
}

function subjectProblem({ module, kernel }: Proof, demand: ProofDemand): string | undefined {
  if (module.sha256 !== demand.module) return 'it is the proof of another module file';
  const { release, image, buildId } = kernel;
  if (release !== demand.release) return `it was made for ${release}, not for ${demand.release}`;
  if (demand.image !== undefined && image !== demand.image) return 'it was made for another image of this kernel';
  if (demand.buildId !== undefined && buildId !== undefined && buildId !== demand.buildId) {
    return 'it was made for another build of this kernel';
  }
  return undefined;
}

function contentProblem({ plan, inputs, checks, made }: Proof, demand: ProofDemand): string | undefined {
  if (demand.plans !== undefined && !demand.plans.includes(plan)) {
    return `its plan is "${plan}"; wanted: ${demand.plans.join(' or ')}`;
  }
  const tested = inputs.some(({ role }) => role === 'test') && checks.some(({ check }) => check.endsWith('/test-with'));
  if (demand.test && !tested) return "the author's test is not part of it";
  if (demand.made === undefined) return undefined;
  const time = Date.parse(made);
  if (Number.isNaN(time)) return `it was made at an unknown time ("${made}")`;
  if (time < demand.made.from.getTime()) return `it is too old: it was made at ${made}`;
  if (time > demand.made.to.getTime()) return `it was made at ${made}, which is in the future: check the clock`;
  return undefined;
}

function signatureProblem(proof: Proof, keys: readonly (string | PublicKey)[]): string | undefined {
  const { signature } = proof;
  if (signature === undefined) return 'it is not signed';
  for (const one of keys) {
    const key = typeof one === 'string' ? readPublicKey(one) : one;
    if (key.id !== signature.key) continue;
    if (isSignedBy(key, signedBytes(proof), Buffer.from(signature.value, 'base64'))) return undefined;
    return 'its signature does not match its content: it was changed after it was signed';
  }
  return `it is signed by a key that is not trusted here (${signature.key.slice(0, 16)}...)`;
}

function signedBytes(proof: Proof): Buffer {
  const { signature: _, ...unsigned } = proof;
  return Buffer.from(JSON.stringify(unsigned));
}

type Test = (value: unknown) => boolean;
const text: Test = (value) => typeof value === 'string';
/** Text that is shown as part of a line. */
const line: Test = (value) => typeof value === 'string' && isPlainText(value);
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
  verdict: (value) => line(value) && /^(?:proven|not proven|proven except .+)$/.test(value as string),
  reasons: listOf(text),
  plan: line,
  module: record({ name: line, file: line, sha256: hex }),
  kernel: record({ release: line, image: hex }),
  inputs: listOf(record({ role: line, name: line, sha256: hex })),
  tool: line,
  qemu: line,
  made: line,
  checks: listOf(
    record({
      check: line,
      boot: line,
      title: line,
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
  return wrong === undefined ? undefined : `the member "${wrong[0]}" is missing or invalid`;
}

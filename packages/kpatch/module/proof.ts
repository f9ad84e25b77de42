/**
 * The proof file, `MODULE.proof.json`: what `kpatch prove` saw, with the digests of everything it was seen on. A signature
 * is over the document without its member `signature`, as compact JSON with the members in the order of the file.
 */
import { failure } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';
import { parseStrict } from '../base/strict-json.ts';
import type { proofDocument } from '../documents/definitions/proof.ts';
import { type Stored, storedDocument } from '../documents/form.ts';
import { type PublicKey, readPublicKey } from './public-key.ts';
import { isSignedBy, readPrivateKey } from './signing-key.ts';

export const proofSchema = 'kpatch.proof/1';

export type Proof = Stored<typeof proofDocument>;
export type ProofCheck = Proof['checks'][number];
export type ProofSignature = NonNullable<Proof['signature']>;

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
  if (problem !== undefined) throw failure('proof-invalid', { file, problem }, { where: { file } });
  return proof;
}

/** Reads a proof file without judging it. Errors: `file-unreadable`, `proof-invalid` if it is not a proof. */
export function readProof(file: string): Proof {
  return parseProof(readBytes(file), file);
}

/** The same for bytes that were read before. */
export function parseProof(bytes: Uint8Array, file: string): Proof {
  const refuse = (problem: string): Error => failure('proof-invalid', { file, problem }, { where: { file } });
  if (bytes.length > 100_000_000) throw refuse('it is larger than 100 MB');
  try {
    return storedDocument(proofSchema, parseStrict(Buffer.from(bytes).toString('utf8')));
  } catch (error) {
    throw refuse(error instanceof SyntaxError ? 'it is not JSON' : (error as Error).message);
  }
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

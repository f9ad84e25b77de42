/**
 * The form of the host policy and of the list of revoked keys. Every member must be known: a typing error must not quietly
 * switch a rule off.
 */
import { FormError, storedDocument } from '../../documents/form.ts';

export interface HostPolicy {
  readonly proof: ProofRules;
  readonly signature: SignatureRules;
  readonly provenance: ProvenanceRules;
  /** Kinds of hazards (docs/review.md) that a patch must not have. */
  readonly hazards: { readonly deny: readonly string[] };
  /** Addresses of the channels that this machine may follow; absent: any. */
  readonly channels: readonly string[] | undefined;
  /** What an update may do by itself: install, only fetch and verify, or nothing. */
  readonly update: 'install' | 'fetch' | 'nothing';
  /**
   * What happens to installed patches that a revoked key signed. Either way nothing new is accepted, and status says so.
   */
  readonly revoked: 'keep' | 'remove';
}

export interface ProofRules {
  readonly required: boolean;
  /** Files with public keys (PEM), relative to the policy's folder. */
  readonly keys: readonly string[];
  /** Names of the plans that count. */
  readonly plans: readonly string[];
  /** True if the author's test must be part of the proof. */
  readonly test: boolean;
  /** Days between the making of the proof and its acceptance; absent: any. */
  readonly maxAgeDays: number | undefined;
  /** True if the verdict `proven except ...` is good enough. */
  readonly provenExcept: boolean;
}

/** What the statement of the build must say. */
export interface ProvenanceRules {
  readonly required: boolean;
  /** Files with public keys of builders (PEM), relative to the policy's folder. */
  readonly keys: readonly string[];
  /** URIs of builders that count; absent: any that one of the keys signed for. */
  readonly builders: readonly string[] | undefined;
  /** Roles of inputs that must be recorded, each with a SHA-256. */
  readonly materials: readonly string[];
  /** True if the build must have run in the sandbox. */
  readonly sandbox: boolean;
}

export interface SignatureRules {
  readonly required: boolean;
  /** Files with certificates (PEM or DER), relative to the policy's folder. */
  readonly certificates: readonly string[];
  /** Names of the digests that count, as `sha256`. */
  readonly hashes: readonly string[];
  readonly minimumRsaBits: number;
}

export interface RevokedKey {
  /** SHA-256 of the public key (SubjectPublicKeyInfo, DER), hexadecimal. */
  readonly key: string;
  readonly reason: string;
}

export const policySchema = 'kpatch.host-policy/1';
export const revokedSchema = 'kpatch.revoked-keys/1';

/** What holds where a member is left out, and, but for the policy itself, where there is no policy. */
export const defaultPolicy: HostPolicy = {
  proof: {
    required: false,
    keys: [],
    plans: ['quick', 'full'],
    test: false,
    maxAgeDays: undefined,
    provenExcept: false,
  },
  signature: { required: false, certificates: [], hashes: ['sha256', 'sha384', 'sha512'], minimumRsaBits: 2048 },
  provenance: { required: false, keys: [], builders: undefined, materials: [], sandbox: false },
  hazards: { deny: [] },
  channels: undefined,
  update: 'install',
  revoked: 'keep',
};

/** The policy in a parsed document. Error: `FormError`. */
export function policyOf(document: unknown): HostPolicy {
  const { schema } = Object(document) as { readonly schema?: unknown };
  if (schema === 'kpatch.policy/1' || schema === 'kpatch.selection/1') {
    throw new FormError(`schema: ${schema} selects CVEs for building; a host policy has the schema ${policySchema}`);
  }
  const { proof, signature, provenance, hazards, channels, update, revoked } = storedDocument(policySchema, document);
  const base = defaultPolicy;
  const policy: HostPolicy = {
    proof: { ...base.proof, ...proof },
    signature: { ...base.signature, ...signature },
    provenance: { ...base.provenance, ...provenance },
    hazards: { ...base.hazards, ...hazards },
    channels: channels?.map((one, index) => addressOf(one, `channels[${index}]`)),
    update: update ?? base.update,
    revoked: revoked ?? base.revoked,
  };
  if (policy.proof.required && policy.proof.keys.length === 0) {
    throw new FormError(
      'proof.keys: name at least one key; a proof without a trusted signature can be written by anybody',
    );
  }
  if (policy.provenance.required && policy.provenance.keys.length === 0) {
    throw new FormError(
      'provenance.keys: name at least one key; a statement without a trusted signature can be written by anybody',
    );
  }
  if (policy.signature.required && policy.signature.certificates.length === 0) {
    throw new FormError('signature.certificates: name at least one certificate');
  }
  return policy;
}

/** The keys in a parsed list of revoked keys. Error: `FormError`. */
export function revokedKeysOf(document: unknown): RevokedKey[] {
  return storedDocument(revokedSchema, document).keys.map(({ key, reason = '' }) => ({ key, reason }));
}

function addressOf(url: string, at: string): string {
  if (!URL.canParse(url)) throw new FormError(`${at}: must be an address (https://...)`);
  return url.replace(/\/+$/, '');
}

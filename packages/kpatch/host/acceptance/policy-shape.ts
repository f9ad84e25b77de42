/**
 * The form of the host policy and of the list of revoked keys. Every member must be known: a typing error must not quietly
 * switch a rule off.
 */
export interface HostPolicy {
  readonly proof: ProofRules;
  readonly signature: SignatureRules;
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
  hazards: { deny: [] },
  channels: undefined,
  update: 'install',
  revoked: 'keep',
};

/** A document that does not have the form; the message says where and why. */
export class ShapeError extends Error {}

type Plain = Readonly<Record<string, unknown>>;

/** The policy in a parsed document. Error: `ShapeError`. */
export function policyOf(document: unknown): HostPolicy {
  const members = closed(document, 'the policy', [
    'schema',
    'proof',
    'signature',
    'hazards',
    'channels',
    'update',
    'revoked',
  ]);
  const { schema } = members;
  if (schema === 'kpatch.policy/1' || schema === 'kpatch.selection/1') {
    throw new ShapeError(`schema: ${schema} selects CVEs for building; a host policy has the schema ${policySchema}`);
  }
  if (schema !== policySchema) throw new ShapeError(`schema: must be "${policySchema}"`);
  const base = defaultPolicy;
  const policy: HostPolicy = {
    proof: proofRules(members.proof ?? {}),
    signature: signatureRules(members.signature ?? {}),
    hazards: { deny: denied(members.hazards ?? { deny: [] }) },
    channels: members.channels === undefined ? undefined : listOf(members.channels, 'channels', address),
    update: oneOf(members.update, 'update', ['install', 'fetch', 'nothing'] as const, base.update),
    revoked: oneOf(members.revoked, 'revoked', ['keep', 'remove'] as const, base.revoked),
  };
  if (policy.proof.required && policy.proof.keys.length === 0) {
    throw new ShapeError(
      'proof.keys: name at least one key; a proof without a trusted signature can be written by anybody',
    );
  }
  if (policy.signature.required && policy.signature.certificates.length === 0) {
    throw new ShapeError('signature.certificates: name at least one certificate');
  }
  return policy;
}

/** The keys in a parsed list of revoked keys. Error: `ShapeError`. */
export function revokedKeysOf(document: unknown): RevokedKey[] {
  const members = closed(document, 'the list', ['schema', 'keys']);
  if (members.schema !== revokedSchema) throw new ShapeError(`schema: must be "${revokedSchema}"`);
  return listOf(members.keys, 'keys', (item, at) => {
    const { key, reason = '' } = closed(item, at, ['key', 'reason']);
    if (typeof key !== 'string' || !/^[0-9a-f]{64}$/.test(key)) {
      throw new ShapeError(`${at}.key: must be the SHA-256 of a public key, 64 lower-case hexadecimal digits`);
    }
    if (typeof reason !== 'string') throw new ShapeError(`${at}.reason: must be text`);
    return { key, reason };
  });
}

function proofRules(value: unknown): ProofRules {
  const base = defaultPolicy.proof;
  const names = ['required', 'keys', 'plans', 'test', 'maxAgeDays', 'provenExcept'];
  const { required, keys, plans, test, maxAgeDays, provenExcept } = closed(value, 'proof', names);
  return {
    required: flag(required, 'proof.required', base.required),
    keys: keys === undefined ? base.keys : listOf(keys, 'proof.keys', relativeFile),
    plans: plans === undefined ? base.plans : listOf(plans, 'proof.plans', word),
    test: flag(test, 'proof.test', base.test),
    maxAgeDays: maxAgeDays === undefined ? undefined : natural(maxAgeDays, 'proof.maxAgeDays', 1, 36_500),
    provenExcept: flag(provenExcept, 'proof.provenExcept', base.provenExcept),
  };
}

function signatureRules(value: unknown): SignatureRules {
  const base = defaultPolicy.signature;
  const names = ['required', 'certificates', 'hashes', 'minimumRsaBits'];
  const { required, certificates, hashes, minimumRsaBits } = closed(value, 'signature', names);
  return {
    required: flag(required, 'signature.required', base.required),
    certificates:
      certificates === undefined ? base.certificates : listOf(certificates, 'signature.certificates', relativeFile),
    hashes: hashes === undefined ? base.hashes : listOf(hashes, 'signature.hashes', word),
    minimumRsaBits:
      minimumRsaBits === undefined
        ? base.minimumRsaBits
        : natural(minimumRsaBits, 'signature.minimumRsaBits', 1024, 16_384),
  };
}

function denied(value: unknown): string[] {
  const { deny = [] } = closed(value, 'hazards', ['deny']);
  return listOf(deny, 'hazards.deny', word);
}

/** An object that has only the members named. */
function closed(value: unknown, at: string, names: readonly string[]): Plain {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ShapeError(`${at}: must be an object`);
  const unknown = Object.keys(value).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new ShapeError(`${at}: the member ${JSON.stringify(unknown)} is not known (known: ${names.join(', ')})`);
  }
  return value as Plain;
}

function listOf<T>(value: unknown, at: string, item: (value: unknown, at: string) => T): T[] {
  if (!Array.isArray(value) || value.length > 1000) throw new ShapeError(`${at}: must be a list of at most 1000`);
  return value.map((one: unknown, index) => item(one, `${at}[${index}]`));
}

function flag(value: unknown, at: string, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== 'boolean') throw new ShapeError(`${at}: must be true or false`);
  return value;
}

function natural(value: unknown, at: string, least: number, most: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  throw new ShapeError(`${at}: must be a whole number from ${least} to ${most}`);
}

function oneOf<T extends string>(value: unknown, at: string, choices: readonly T[], otherwise: T): T {
  if (value === undefined) return otherwise;
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw new ShapeError(`${at}: must be one of ${choices.join(', ')}`);
  return found;
}

function word(value: unknown, at: string): string {
  if (typeof value === 'string' && /^[\w -]{1,64}$/.test(value)) return value;
  throw new ShapeError(`${at}: must be a name`);
}

/** A file below the policy's folder, so that it is found in an image too and nothing else is read. */
function relativeFile(value: unknown, at: string): string {
  const good =
    typeof value === 'string' && /^[\w.@+-]+(?:\/[\w.@+-]+)*$/.test(value) && !value.split('/').includes('..');
  if (good) return value;
  throw new ShapeError(`${at}: must be a file below the policy's folder, without ".."`);
}

function address(value: unknown, at: string): string {
  const good = typeof value === 'string' && /^(?:https?|file):\/\/[^\s'"\\[\]]+$/.test(value) && URL.canParse(value);
  if (good) return value.replace(/\/+$/, '');
  throw new ShapeError(`${at}: must be an address (https://...)`);
}

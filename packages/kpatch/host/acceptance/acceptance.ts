/**
 * Whether a module may be installed or loaded on this machine. `installModule` and `loadModule` ask here themselves, so
 * every way to them meets the same rules: commands, updates, package scripts, retries, the boot unit, and files that
 * somebody put into the store.
 *
 * What was accepted before is not refused because of a clock or because the policy cannot be read now: a fix that protects
 * this machine stays, and an alarm says what is wrong.
 */
import { existsSync } from 'node:fs';
import { failure, KpatchError } from '../../base/errors/error.ts';
import { readBytes } from '../../base/files.ts';
import { type Proof, type ProofDemand, requireProofBytes } from '../../module/proof.ts';
import { proofBeside, proofPath, provenanceBeside } from '../../module/proof-path.ts';
import { keyId } from '../../module/public-key.ts';
import { judgeSignature } from '../../module/signature-rules.ts';
import { blockedByGuard, updateWaits } from '../boot/guard.ts';
import type { Machine } from '../machine/machine.ts';
import { runningKernel } from '../machine/running-kernel.ts';
import type { ModuleFile } from '../store/module-file.ts';
import { indexDamaged, recordOf } from '../store/store.ts';
import type { Acceptance } from '../store/store-index.ts';
import { unwantedSince } from '../store/unwanted.ts';
import { foreignModule } from './foreign.ts';
import { hazardProblem } from './hazards.ts';
import { isUnattended } from './origin.ts';
import { type LoadedPolicy, type PolicyState, readPolicyState } from './policy.ts';
import { checkedProvenance } from './provenance-rule.ts';

/** What the caller asks for beyond the policy. */
export interface AdmitOptions {
  readonly requireProof?: boolean;
  /** The proof file; the one beside the module unless given. Naming it asks for it too. */
  readonly proof?: string;
  /** Files with public keys (PEM) by one of which the proof must be signed. */
  readonly proofKey?: readonly string[];
  /** True for an automatic update; by default derived from the process. */
  readonly unattended?: boolean;
  /** What was found out before about the same bytes. */
  readonly admission?: Admission;
}

/** That a module may be loaded. Only this file makes one. */
export interface Admission {
  readonly acceptance: Acceptance;
  /** The bytes of the proof that was checked, to be kept beside the module. */
  readonly proof: Buffer | undefined;
  /** The same for its provenance. */
  readonly provenance: Buffer | undefined;
  /** What the user must know although the module is loaded. */
  readonly alarms: readonly string[];
}

interface Subject {
  readonly machine: Machine;
  readonly module: ModuleFile;
  readonly options: AdmitOptions;
  readonly state: PolicyState;
  /** Where these bytes were accepted before, by its index; `at` is absent if the store has no record of them. */
  readonly before: { readonly acceptance?: Acceptance; readonly at?: Date };
}

const issued = new WeakMap<Admission, string>();

/**
 * Admits a module or refuses it. Errors: `machine-mismatch`, `policy-refused`, `policy-unusable`, `key-revoked`, `patch-unwanted`,
 * `patch-crashed`, `patch-waits`, and where the caller asks for a proof `proof-invalid`, `proof-key`, `proof-key-missing`,
 * `file-unreadable`.
 */
export function admit(machine: Machine, module: ModuleFile, options: AdmitOptions): Admission {
  const foreign = machine.offline ? undefined : foreignModule(module);
  if (foreign !== undefined) throw foreign;
  const { admission } = options;
  if (admission !== undefined && issued.get(admission) === module.sha256) return admission;
  const record = recordOf(machine, module.release, module.sha256);
  const before = {
    ...(record?.acceptance === undefined ? {} : { acceptance: record.acceptance }),
    ...(record === undefined ? {} : { at: new Date(record.acceptance?.at ?? record.installed) }),
  };
  const made = decide({ machine, module, options, state: readPolicyState(machine), before });
  issued.set(made, module.sha256);
  return made;
}

function decide(subject: Subject): Admission {
  const { machine, module, options, state, before } = subject;
  const isNew = before.at === undefined;
  const unattended = isNew && (options.unattended ?? isUnattended());
  if (unattended) refuseUnattended(subject);
  if (state.kind === 'unusable') {
    if (before.acceptance === undefined) {
      throw failure('policy-unusable', { file: state.file, problem: state.problem }, { where: { file: state.file } });
    }
    const alarm = `the host policy cannot be used (${state.problem}); ${module.name} was accepted before and is kept`;
    const kept = { proof: proofBeside(module.path), provenance: provenanceBeside(module.path) };
    return { acceptance: before.acceptance, ...kept, alarms: [alarm] };
  }
  const policy = state.kind === 'valid' ? state.policy : undefined;
  // With a damaged index it is unknown what is new, and a boot must not lose accepted patches.
  const known = !indexDamaged(machine, module.release);
  if (unattended && known && policy !== undefined && policy.rules.update !== 'install') {
    throw refusal(module, `updates may not install by themselves (update: "${policy.rules.update}")`);
  }
  const hazard = hazardProblem(module.manifest, policy?.rules.hazards.deny ?? []);
  if (hazard !== undefined) throw refusal(module, hazard);
  const { proof, bytes } = checkedProof(subject, policy);
  const built = checkedProvenance(module, policy);
  if ('problem' in built) throw refusal(module, built.problem, built.cause);
  const signer = policy === undefined ? undefined : checkedSigner(subject, policy);
  const keys = [...(proof?.signature === undefined ? [] : [proof.signature.key]), ...built.keys, ...(signer ?? [])];
  const alarms = [...built.alarms, ...revocationAlarms(subject, keys, policy)];
  const at = (before.at ?? machine.clock.date()).toISOString();
  const acceptance = { policy: policy?.digest ?? 'none', at, keys: [...new Set(keys)] };
  return { acceptance, proof: bytes, provenance: built.bytes, alarms };
}

/** An update neither puts back what the user took out, nor what crashed this machine, nor at once what may have. */
function refuseUnattended({ machine, module }: Subject): void {
  const { name, release } = module;
  const at = unwantedSince(machine, module);
  if (at !== undefined) throw failure('patch-unwanted', { name, release, at });
  const crashed = blockedByGuard(machine, release, module.sha256);
  if (crashed !== undefined) throw failure('patch-crashed', { name, at: crashed.at });
  const waits = updateWaits(machine, release, module.sha256);
  if (waits !== undefined) throw failure('patch-waits', { name, ...waits });
}

/** The proof, checked as far as the policy and the caller ask for it; one that is not required is kept if it is valid. */
function checkedProof(subject: Subject, policy: LoadedPolicy | undefined): { proof?: Proof; bytes?: Buffer } {
  const { module, options } = subject;
  const asked = options.requireProof === true || options.proof !== undefined || options.proofKey !== undefined;
  const demanded = policy?.rules.proof.required === true;
  const file = options.proof ?? proofPath(module.path);
  if (!asked && !demanded) {
    try {
      if (!existsSync(file)) return {};
      const bytes = readBytes(file);
      return { proof: requireProofBytes(bytes, file, basicDemand(subject)), bytes };
    } catch {
      return {}; // not required
    }
  }
  if (asked && !demanded && options.proofKey === undefined && (policy?.proofKeys.length ?? 0) === 0) {
    throw failure('proof-key-missing', {});
  }
  try {
    const bytes = readBytes(file);
    const demand: ProofDemand = { ...basicDemand(subject), ...policyDemand(subject, policy) };
    const proof = requireProofBytes(bytes, file, demand);
    // Both are asked: what the policy trusts, and what the caller names.
    if (options.proofKey !== undefined)
      requireProofBytes(bytes, file, { ...basicDemand(subject), keys: options.proofKey });
    return { proof, bytes };
  } catch (error) {
    if (!demanded || !(error instanceof KpatchError) || error.code === 'proof-key') throw error;
    throw refusal(module, error.message, error);
  }
}

function basicDemand({ machine, module }: Subject): ProofDemand {
  const { release, buildId } = runningKernel(machine);
  return {
    module: module.sha256,
    release: module.release,
    ...(release === module.release && buildId !== undefined ? { buildId } : {}),
  };
}

const DAY_MS = 86_400_000;

function policyDemand({ machine, before, module }: Subject, policy: LoadedPolicy | undefined): Partial<ProofDemand> {
  if (policy === undefined) return {};
  const { plans, test, maxAgeDays, provenExcept } = policy.rules.proof;
  const demand = { keys: policy.proofKeys, plans, test, except: provenExcept };
  // Age counts when a module is accepted, never again. If the index is damaged, that time is unknown.
  if (maxAgeDays === undefined || before.at !== undefined || indexDamaged(machine, module.release)) return demand;
  const now = machine.clock.date().getTime();
  return { ...demand, made: { from: new Date(now - maxAgeDays * DAY_MS), to: new Date(now + DAY_MS) } };
}

/** The identity of the key that signed the module, where the policy asks. Error: `policy-refused`. */
function checkedSigner({ machine, module, before }: Subject, policy: LoadedPolicy): string[] | undefined {
  const { required, hashes, minimumRsaBits } = policy.rules.signature;
  if (policy.certificates.length === 0) return undefined;
  const certificates = policy.certificates.map(({ certificate }) => certificate);
  // A certificate that expires later takes no fix away that was accepted in time.
  const at = before.at === undefined ? machine.clock.date() : undefined;
  const judged = judgeSignature(module.bytes, certificates, {
    hashes,
    minimumRsaBits,
    ...(at === undefined ? {} : { at }),
  });
  if ('signer' in judged) return [keyId(judged.signer.publicKey)];
  if (required) throw refusal(module, judged.problem);
  return undefined;
}

/** Error: `key-revoked`, unless these bytes were accepted before and the policy keeps such. */
function revocationAlarms(
  { module, state, before }: Subject,
  keys: readonly string[],
  policy: LoadedPolicy | undefined,
): string[] {
  const ids = new Set([...keys, ...(before.acceptance?.keys ?? [])]);
  const hit = state.revoked.find(({ key }) => ids.has(key));
  if (hit === undefined) return [];
  const { name } = module;
  const reason = hit.reason === '' ? '' : ` (${hit.reason})`;
  const key = hit.key.slice(0, 16);
  const kept = before.acceptance !== undefined && (policy?.rules.revoked ?? 'keep') === 'keep';
  if (!kept) throw failure('key-revoked', { name, key, reason });
  return [
    `${name} was signed with the key ${key}..., which is revoked${reason}; it stays because it was accepted before`,
  ];
}

function refusal(module: ModuleFile, problem: string, cause?: unknown): KpatchError {
  return failure('policy-refused', { name: module.name, problem }, { where: { file: module.path }, cause });
}

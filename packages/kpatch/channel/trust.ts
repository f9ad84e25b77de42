/**
 * Whose proofs and module signatures a channel accepts. They are judged by the functions that the host uses (`module/`), so a
 * channel never promises what a machine with the same keys would refuse.
 */
import type { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { failure, KpatchError } from '../base/errors/error.ts';
import { requireProofBytes } from '../module/proof.ts';
import { proofPath, provenancePath } from '../module/proof-path.ts';
import { keyId, type PublicKey, readPublicKey } from '../module/public-key.ts';
import { readCertificate } from '../module/signature.ts';
import { judgeSignature, usualDemand } from '../module/signature-rules.ts';
import { readProvenance } from '../provenance/statement.ts';
import type { PatchModule } from './patch-module.ts';
import type { ChannelConfig } from './repository/config.ts';

/** The keys that `channel.json` names, read. */
export interface ChannelTrust {
  readonly proofKeys: readonly PublicKey[];
  readonly builderKeys: readonly PublicKey[];
  readonly certificates: readonly X509Certificate[];
}

/** What was found out about a module; key ids are SHA-256 of the public key. */
export interface TrustEvidence {
  /** True if the proof holds; where the channel names keys for proofs, also that one of them signed it. */
  readonly proven: boolean;
  /** The key that signed the proof; absent if no key was asked for. */
  readonly proofKey?: string;
  /** The key that signed the provenance; absent unless it is one of the channel's. */
  readonly builderKey?: string;
  /** The key that signed the module; absent unless one of the channel's certificates verifies it. */
  readonly signer?: string;
}

/** Why something does not count, in words. */
export interface Shortfalls {
  readonly proof?: string;
  readonly provenance?: string;
  readonly signature?: string;
}

/** Reads the keys of a channel. Errors: `file-unreadable`, `proof-key`, `sign-certificate-unusable`. */
export function readTrust(folder: string, { require }: Pick<ChannelConfig, 'require'>): ChannelTrust {
  return {
    proofKeys: (require.proofKeys ?? []).map((file) => readPublicKey(join(folder, file))),
    builderKeys: (require.builderKeys ?? []).map((file) => readPublicKey(join(folder, file))),
    certificates: (require.certificates ?? []).map((file) => readCertificate(join(folder, file))),
  };
}

/** Checks that a channel that asks for something names keys to check it with. Error: `channel-trust-missing`. */
export function requireTrust(folder: string, config: Pick<ChannelConfig, 'require'>, trust: ChannelTrust): void {
  const problem = missingTrust(config, trust);
  if (problem !== undefined) throw failure('channel-trust-missing', { folder, problem }, { where: { file: folder } });
}

/** What a channel asks for without naming keys; undefined if nothing is missing. */
export function missingTrust({ require }: Pick<ChannelConfig, 'require'>, trust: ChannelTrust): string | undefined {
  if (require.proof && trust.proofKeys.length === 0) return 'it requires proofs, but names no key in require.proofKeys';
  if (require.provenance === true && trust.builderKeys.length === 0)
    return 'it requires provenance, but names no key in require.builderKeys';
  if (require.moduleSignature && trust.certificates.length === 0)
    return 'it requires signed modules, but names no certificate in require.certificates';
  return undefined;
}

/** Judges proof and signature of a module. Throws nothing that depends on the module. */
export function judge(
  module: PatchModule,
  trust: ChannelTrust,
  at: Date,
): TrustEvidence & { readonly problems: Shortfalls } {
  const proof = judgeProof(module, trust);
  const built = judgeProvenance(module, trust);
  const signed = judgeSignature(module.bytes, trust.certificates, { ...usualDemand, at });
  return {
    proven: proof.problem === undefined,
    ...(proof.key === undefined ? {} : { proofKey: proof.key }),
    ...('key' in built ? { builderKey: built.key } : {}),
    ...('signer' in signed ? { signer: keyId(signed.signer.publicKey) } : {}),
    problems: {
      ...(proof.problem === undefined ? {} : { proof: proof.problem }),
      ...('problem' in built ? { provenance: built.problem } : {}),
      ...('problem' in signed ? { signature: signed.problem } : {}),
    },
  };
}

function judgeProof(
  { proof, file, sha256, manifest }: PatchModule,
  { proofKeys }: ChannelTrust,
): { readonly key?: string; readonly problem?: string } {
  if (proof === undefined) return { problem: 'it has no proof' };
  const { release, buildId } = manifest;
  const build = buildId === undefined ? {} : { buildId };
  try {
    const found = requireProofBytes(proof, proofPath(file), { module: sha256, release, ...build, keys: proofKeys });
    return proofKeys.length > 0 && found.signature !== undefined ? { key: found.signature.key } : {};
  } catch (error) {
    if (!(error instanceof KpatchError)) throw error;
    return { problem: error.message };
  }
}

function judgeProvenance(
  { provenance, file }: PatchModule,
  { builderKeys }: ChannelTrust,
): { readonly key: string } | { readonly problem: string } {
  if (provenance === undefined) return { problem: 'it has no provenance' };
  try {
    const [key] = readProvenance(provenance, provenancePath(file), builderKeys).signedBy;
    return key === undefined ? { problem: 'none of the keys of the channel signed its provenance' } : { key };
  } catch (error) {
    if (!(error instanceof KpatchError)) throw error;
    return { problem: error.message };
  }
}

/**
 * The rules that every patch of a channel keeps; they are asked when one is added and again whenever the channel is
 * checked.
 */
import { failure, type KpatchError } from '../../base/errors/error.ts';
import { keyId } from '../../module/public-key.ts';
import { compareRecords, versionText } from '../package/record.ts';
import type { ChannelTrust, Shortfalls } from '../trust.ts';
import type { ChannelConfig } from './config.ts';
import { type ChannelKernel, type PublishedPatch, untilOf, windowOf } from './kernel.ts';

/** What the rules look at beside the record itself. */
export interface Candidate {
  readonly patch: Pick<PublishedPatch, 'record' | 'proven' | 'proofKey' | 'builderKey' | 'signer'>;
  /** Why its proof or signature does not count. */
  readonly problems: Shortfalls;
  /** True if the module replaces all live patches before it. */
  readonly replaces: boolean;
}

/** The first rule that a new patch breaks; `undefined` where it may be added. */
export function brokenRule(
  candidate: Candidate,
  kernel: ChannelKernel,
  config: ChannelConfig,
  trust: ChannelTrust,
  today: string,
): KpatchError | undefined {
  const { record } = candidate.patch;
  const { release } = kernel;
  const version = versionText(record);
  if (windowOf(kernel, config, today) === 'ended') {
    return failure('channel-window-over', { release, until: untilOf(kernel, config) });
  }
  if (record.arch !== kernel.arch) {
    return failure('channel-wrong-kernel', {
      version,
      release,
      problem: `it is for ${record.arch}, but the kernel is for ${kernel.arch}`,
    });
  }
  if (!candidate.replaces) return failure('channel-not-replacing', { version, release });
  const before = kernel.patches.at(-1)?.record;
  const order = succession(before, record, release);
  if (order !== undefined) return order;
  return trustRule(candidate.patch, release, config, trust, candidate.problems);
}

/**
 * Proof, provenance and signature, by what was found out when the patch was added. A patch that was added before the channel named keys
 * was not checked with them, so it does not count.
 */
function trustRule(
  { record, proven, proofKey, builderKey, signer }: Candidate['patch'],
  release: string,
  { require }: ChannelConfig,
  { proofKeys, builderKeys, certificates }: ChannelTrust,
  { proof, provenance, signature }: Shortfalls = {},
): KpatchError | undefined {
  const version = versionText(record);
  const known = certificates.map(({ publicKey }) => keyId(publicKey));
  const isSigned = record.module?.signed === true && (known.length === 0 || known.includes(signer ?? ''));
  if (require.moduleSignature && !isSigned) {
    const problem = signature ?? 'none of its certificates verified it when it was added';
    return failure('channel-unsigned-module', { version, release, problem });
  }
  if (require.provenance === true && !builderKeys.some(({ id }) => id === builderKey)) {
    const problem = provenance ?? 'none of its keys verified the provenance when it was added';
    return failure('channel-no-provenance', { version, release, problem });
  }
  const isProven = proven && (proofKeys.length === 0 || proofKeys.some(({ id }) => id === proofKey));
  if (!require.proof || isProven) return undefined;
  const problem = proof ?? 'none of its keys verified the proof when it was added';
  return failure('channel-unproven', { version, release, problem });
}

/**
 * The rules between a patch and the one before it: versions only rise, what was fixed stays fixed, the kernel is the same
 * build.
 */
export function succession(
  before: PublishedPatch['record'] | undefined,
  record: PublishedPatch['record'],
  release: string,
): KpatchError | undefined {
  const version = versionText(record);
  if (before === undefined || before.module === null) return undefined;
  const old = versionText(before);
  if (compareRecords(record, before) <= 0) return failure('channel-version', { version, old, release });
  if (record.version === before.version && record.module?.sha256 !== before.module.sha256) {
    return failure('channel-version', { version: `${version} (another module of the same version)`, old, release });
  }
  const known = new Set([...record.cves.map((cve) => cve.id), ...record.withdrawn.map((cve) => cve.id)]);
  const lost = before.cves.map((cve) => cve.id).filter((cve) => !known.has(cve));
  if (lost.length > 0) return failure('channel-not-cumulative', { version, old, release, lost: lost.join(', ') });
  const build = record.module?.buildId ?? '';
  if (build !== '' && before.module.buildId !== '' && build !== before.module.buildId) {
    const problem = `its build-id is ${build}, but that of ${old} is ${before.module.buildId}`;
    return failure('channel-wrong-kernel', { version, release, problem });
  }
  return undefined;
}

/** Rules that the patches of a channel break as they stand; windows are left out, since they end by themselves. */
export function brokenRules(kernel: ChannelKernel, config: ChannelConfig, trust: ChannelTrust): KpatchError[] {
  return kernel.patches.flatMap((patch, at) => {
    const { record } = patch;
    const version = versionText(record);
    const release = kernel.release;
    if (record.module === null) return [];
    const broken = [
      record.kernel === release && record.arch === kernel.arch
        ? undefined
        : failure('channel-wrong-kernel', {
            version,
            release,
            problem: `its record is for ${record.kernel} ${record.arch}`,
          }),
      succession(kernel.patches[at - 1]?.record, record, release),
      trustRule(patch, release, config, trust),
    ];
    return broken.filter((error) => error !== undefined);
  });
}

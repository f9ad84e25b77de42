/**
 * The rules that every patch of a channel keeps; they are asked when one is added and again whenever the channel is
 * checked.
 */
import { fail, type KpatchError } from '../../base/errors/error.ts';
import { compareRecords, versionText } from '../package/record.ts';
import type { ChannelConfig } from './config.ts';
import { type ChannelKernel, type PublishedPatch, untilOf, windowOf } from './kernel.ts';

/** What the rules look at beside the record itself. */
export interface Candidate {
  readonly patch: Pick<PublishedPatch, 'record' | 'proven'>;
  /** True if the module replaces all live patches before it. */
  readonly replaces: boolean;
}

/** The first rule that a new patch breaks; `undefined` where it may be added. */
export function brokenRule(
  candidate: Candidate,
  kernel: ChannelKernel,
  config: ChannelConfig,
  today: string,
): KpatchError | undefined {
  const { record, proven } = candidate.patch;
  const { release } = kernel;
  const version = versionText(record);
  if (windowOf(kernel, config, today) === 'ended') {
    return fail('channel-window-over', { release, until: untilOf(kernel, config) });
  }
  if (record.arch !== kernel.arch) {
    return fail('channel-wrong-kernel', {
      version,
      release,
      problem: `it is for ${record.arch}, but the kernel is for ${kernel.arch}`,
    });
  }
  if (!candidate.replaces) return fail('channel-not-replacing', { version, release });
  const before = kernel.patches.at(-1)?.record;
  const order = succession(before, record, release);
  if (order !== undefined) return order;
  if (config.require.moduleSignature && record.module?.signed !== true)
    return fail('channel-unsigned-module', { version, release });
  if (config.require.proof && !proven) return fail('channel-unproven', { version, release });
  return undefined;
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
  if (compareRecords(record, before) <= 0) return fail('channel-version', { version, old, release });
  if (record.version === before.version && record.module?.sha256 !== before.module.sha256) {
    return fail('channel-version', { version: `${version} (another module of the same version)`, old, release });
  }
  const known = new Set([...record.cves.map((cve) => cve.id), ...record.withdrawn.map((cve) => cve.id)]);
  const lost = before.cves.map((cve) => cve.id).filter((cve) => !known.has(cve));
  if (lost.length > 0) return fail('channel-not-cumulative', { version, old, release, lost: lost.join(', ') });
  const build = record.module?.buildId ?? '';
  if (build !== '' && before.module.buildId !== '' && build !== before.module.buildId) {
    const problem = `its build-id is ${build}, but that of ${old} is ${before.module.buildId}`;
    return fail('channel-wrong-kernel', { version, release, problem });
  }
  return undefined;
}

/** Rules that the patches of a channel break as they stand; windows are left out, since they end by themselves. */
export function brokenRules(kernel: ChannelKernel, config: ChannelConfig): KpatchError[] {
  return kernel.patches.flatMap((patch, at) => {
    const { record } = patch;
    const version = versionText(record);
    const release = kernel.release;
    if (record.module === null) return [];
    const broken = [
      record.kernel === release && record.arch === kernel.arch
        ? undefined
        : fail('channel-wrong-kernel', {
            version,
            release,
            problem: `its record is for ${record.kernel} ${record.arch}`,
          }),
      succession(kernel.patches[at - 1]?.record, record, release),
      config.require.moduleSignature && !record.module.signed
        ? fail('channel-unsigned-module', { version, release })
        : undefined,
      config.require.proof && !patch.proven ? fail('channel-unproven', { version, release }) : undefined,
    ];
    return broken.filter((error) => error !== undefined);
  });
}

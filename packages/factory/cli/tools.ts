/** The real tools of the factory: kpatch builds and proves, and the command `kpatch channel` publishes. */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { build, hazardText, readModule, reviewEach, rewrite } from 'kpatch';
import { type PreparedKernel, preparedKernel } from 'kpatch/advisories';
import { keptDocument } from 'kpatch/documents';
import { failure, object, proofPath, readBytes, readPrivateKey, run, seal, sha256 } from 'kpatch/parts';
import type { FactoryConfig } from '../config.ts';
import { buildJobs } from '../queue/capacity.ts';
import type { Tools } from '../steps/factory.ts';
import { hazardKey } from '../steps/review.ts';

/** How long one proof may take (milliseconds). */
const PROOF_MS = 10 * 3_600_000;

const kpatch = join(import.meta.dirname, '../../../bin/kpatch');

/**
 * The tools, which sign with the keys that the settings name. Kernels stay prepared in memory: reading the object map takes a
 * second.
 */
export function realTools({ proofKey, provenanceKey }: Pick<FactoryConfig, 'proofKey' | 'provenanceKey'>): Tools {
  const kernels = new Map<string, Promise<PreparedKernel>>();
  const jobs = buildJobs(availableParallelism());
  return {
    kernel(release) {
      const known = kernels.get(release) ?? preparedKernel(release);
      kernels.set(release, known);
      known.catch(() => kernels.delete(release));
      return known;
    },
    review: (release, requests) => reviewEach(release, requests),
    rewrite: (request) => rewrite(request),
    async build({ release, patches, cves, version, deny, accepted }) {
      const name = `kpatch_${release.replace(/[^A-Za-z0-9]/g, '_')}_${version}_1`;
      const key = provenanceKey === undefined ? undefined : readPrivateKey(provenanceKey);
      const { module, functions, provenance, hazards } = await build({ release, patches, cves, version, name, jobs });
      // Each patch was reviewed by itself; what only their sum does shows here.
      const denied = hazards.filter((one) => deny.includes(one.kind) && !accepted.includes(hazardKey(one)));
      const [first] = denied;
      if (first !== undefined) {
        const params = { count: denied.length, kind: first.kind, function: first.function };
        const detail = denied.map(hazardText).join('\n');
        throw failure('review-denied', params, { where: { file: first.place, function: first.function }, detail });
      }
      return { name, module, functions: functions.map((one) => one.name), provenance: seal(provenance, key) };
    },
    // In a process of its own, which keeps what it has shown: a proof that was cut off continues.
    async prove({ module, plan, predecessors, patches }) {
      const report = `${module}.html`;
      // Where this process is killed, the proof and its guests end too.
      const guard = ['--pdeathsig', 'TERM', kpatch];
      const args = [
        'prove',
        module,
        ...(plan === 'full' ? ['--full'] : []),
        ...predecessors.flatMap((file) => ['--from', file]),
        ...patches.flatMap((file) => ['--patch', file]),
        ...(proofKey === undefined ? [] : ['--key', proofKey]),
        '--report',
        report,
        '--json',
      ];
      const { status, stdout } = await run('setpriv', [...guard, ...args], { timeoutMs: PROOF_MS });
      const proof = keptDocument('kpatch.proof/1', proofPath(module));
      if (proof === undefined) {
        const problem = status === 0 ? 'it wrote no proof' : problemIn(stdout);
        throw failure('factory-proof', { module: basename(module), problem });
      }
      // `proven except NAMES` is not proven for the machines that use these modules.
      const reasons = reasonsAgainst(proof);
      return { reasons, ...(existsSync(report) ? { report: readFileSync(report, 'utf8') } : {}) };
    },
    async publish(channel, module, withdrawn) {
      const out = withdrawn.map(({ cve, reason }) => `${cve}=${reason.replace(/\s+/g, ' ')}`);
      // A worker that was killed between the two commands comes here again.
      if (!isInChannel(channel, module))
        await channelCommand(['add', channel, module, ...(out.length > 0 ? ['--withdraw', ...out] : [])]);
      await channelCommand(['publish', channel]);
    },
  };
}

/** Why a proof does not count; empty only if everything was proven. */
export function reasonsAgainst({ verdict, reasons }: { verdict: string; reasons: readonly string[] }): string[] {
  return verdict === 'proven' ? [] : [`the verdict is "${verdict}"`, ...reasons];
}

/** True if the channel has this very module. */
function isInChannel(channel: string, module: string): boolean {
  const release = readModule(module).manifest?.release ?? '';
  const kernel = keptDocument('kpatch.channel-kernel/1', join(channel, 'kernels', `${release}.json`));
  const digest = sha256(readBytes(module));
  // Without a readable list `kpatch channel add` says what is wrong.
  return kernel?.patches.some(({ record }) => record.module?.sha256 === digest) ?? false;
}

/** Runs `kpatch channel`; what is in the channel already is no failure. Error: `factory-channel`. */
async function channelCommand(args: readonly string[]): Promise<void> {
  const { status, stdout } = await run(kpatch, ['channel', ...args, '--json']);
  if (status === 0 || status === 3) return;
  const answer = problemIn(stdout);
  throw failure('factory-channel', { channel: args[1] ?? '', problem: answer });
}

function problemIn(output: Buffer): string {
  try {
    const { what, fix } = object(object(JSON.parse(output.toString())).error);
    return [what, fix].filter((part) => typeof part === 'string' && part !== '').join('; ');
  } catch {
    return output.toString().trim();
  }
}

/** The real tools of the factory: kpatch builds and proves, and the command `kpatch channel` publishes. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, prove, readModule, signProof } from 'kpatch';
import { type PreparedKernel, preparedKernel } from 'kpatch/advisories';
import {
  failure,
  list,
  object,
  proofPath,
  readBytes,
  readPrivateKey,
  run,
  seal,
  sha256,
  writeAtomically,
} from 'kpatch/parts';
import type { FactoryConfig } from '../config.ts';
import type { Tools } from '../steps/factory.ts';

const kpatch = join(import.meta.dirname, '../../../bin/kpatch');

/**
 * The tools, which sign with the keys that the settings name. Kernels stay prepared in memory: reading the object map takes a
 * second.
 */
export function realTools({ proofKey, provenanceKey }: Pick<FactoryConfig, 'proofKey' | 'provenanceKey'>): Tools {
  const kernels = new Map<string, Promise<PreparedKernel>>();
  return {
    kernel(release) {
      const known = kernels.get(release) ?? preparedKernel(release);
      kernels.set(release, known);
      known.catch(() => kernels.delete(release));
      return known;
    },
    async build({ release, patches, cves, version }) {
      const name = `kpatch_${release.replace(/[^A-Za-z0-9]/g, '_')}_${version}_1`;
      const key = provenanceKey === undefined ? undefined : readPrivateKey(provenanceKey);
      const { module, functions, provenance } = await build({ release, patches, cves, version, name });
      return { name, module, functions: functions.map((one) => one.name), provenance: seal(provenance, key) };
    },
    async prove(module, plan) {
      const unsigned = await prove(module, { plan });
      const proof = proofKey === undefined ? unsigned : signProof(unsigned, proofKey);
      writeAtomically(proofPath(module), `${JSON.stringify(proof, null, 1)}\n`);
      // `proven except NAMES` is not proven for the machines that use these modules.
      return reasonsAgainst(proof);
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
  try {
    const kernel = object(JSON.parse(readFileSync(join(channel, 'kernels', `${release}.json`), 'utf8')));
    const digest = sha256(readBytes(module));
    return list(kernel.patches).some((patch) => object(object(object(patch).record).module).sha256 === digest);
  } catch {
    return false; // `kpatch channel add` says what is wrong.
  }
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
    const { error } = JSON.parse(output.toString()) as { error?: { what?: string; fix?: string } };
    return [error?.what, error?.fix].filter((text) => text !== undefined && text !== '').join('; ');
  } catch {
    return output.toString().trim();
  }
}

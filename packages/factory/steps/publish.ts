/** Steps 5 and 6: the proof of a module, and its publication in a channel. */
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KpatchError, proofPath, provenancePath, temporaryFolder } from 'kpatch/parts';
import {
  type Factory,
  heldCves,
  type Job,
  type StoredBuild,
  type StoredProof,
  type StoredPublication,
} from './factory.ts';

/** Proves the module of a kernel once. A refused proof ends here, with its reasons. */
export async function proveModule(factory: Factory, release: string): Promise<Job[]> {
  const { config, state, tools } = factory;
  const built = await state.read<StoredBuild>(`build:${release}`);
  if (built?.module === undefined) return [];
  const { digest, name } = built.module;
  const before = await state.read<StoredProof>(`proof:${release}`);
  const next: Job[] = [{ step: 'publish', kernel: release }];
  if (before?.module === digest && (before.verdict === 'proven' || config.proof === 'none')) return next;
  if (config.proof === 'none') {
    await state.write(`proof:${release}`, {
      module: digest,
      verdict: 'not proven',
      reasons: ['proof: "none" in factory.json'],
    });
    return next;
  }
  using folder = temporaryFolder('kpatch-factory-');
  const file = join(folder.path, `${name}.ko`);
  copyFileSync(state.blobs.pathOf(digest), file);
  const reasons = await reasonsAgainst(() => tools.prove(file, config.proof as 'quick' | 'full'));
  const verdict = reasons.length === 0 ? 'proven' : 'refused';
  const proof = existsSync(proofPath(file)) ? state.blobs.put(readFileSync(proofPath(file))) : undefined;
  if (proof !== undefined) await state.point(`proof-file:${release}`, proof);
  await state.write(`proof:${release}`, { module: digest, verdict, reasons });
  await state.note('proof', release, { version: built.version, verdict, reasons });
  return verdict === 'proven' ? next : [];
}

async function reasonsAgainst(prove: () => Promise<readonly string[]>): Promise<readonly string[]> {
  try {
    return await prove();
  } catch (error) {
    if (!(error instanceof KpatchError) || error.code === 'interrupted') throw error;
    return [`${error.code}: ${error.message}`];
  }
}

/** Publishes the module of a kernel, once, after a person approved it where the settings ask for that. */
export async function publishModule(factory: Factory, release: string): Promise<Job[]> {
  const { config, state, tools } = factory;
  const built = await state.read<StoredBuild>(`build:${release}`);
  if (built?.module === undefined || config.channel === undefined) return [];
  const { digest, name, provenance } = built.module;
  const before = await state.read<StoredPublication>(`published:${release}`);
  if (before?.module === digest) return [];
  const proof = await state.read<StoredProof>(`proof:${release}`);
  if (proof?.module !== digest || proof.verdict === 'refused') return [];
  if (config.decision === 'person' && !(await isApproved(factory, release, built.version))) {
    await state.note('waiting', release, {
      version: built.version,
      text: `kpatch-factory approve ${release} --reason TEXT`,
    });
    return [];
  }
  using folder = temporaryFolder('kpatch-factory-');
  const file = join(folder.path, `${name}.ko`);
  copyFileSync(state.blobs.pathOf(digest), file);
  const proofFile = await state.pointer(`proof-file:${release}`);
  if (proofFile !== undefined && proof.verdict === 'proven')
    copyFileSync(state.blobs.pathOf(proofFile), proofPath(file));
  if (provenance !== undefined) copyFileSync(state.blobs.pathOf(provenance), provenancePath(file));
  const held = await heldCves(factory);
  const lost = (before?.cves ?? []).filter((cve) => !built.cves.includes(cve));
  const withdrawn = lost.map((cve) => ({ cve, reason: held.get(cve)?.reason ?? lostReason(cve, built) }));
  await tools.publish(config.channel, file, withdrawn);
  const at = new Date().toISOString();
  await state.write(`published:${release}`, { module: digest, version: built.version, cves: built.cves, at });
  await state.note('published', release, { version: built.version, module: name, cves: built.cves, withdrawn });
  return [];
}

function lostReason(cve: string, { dropped }: StoredBuild): string {
  return dropped.find(({ cves }) => cves.includes(cve))?.reason ?? 'this kernel is no longer known to need it';
}

/** An approval counts for the module that waits when it is given, not for later ones. */
async function isApproved({ state }: Factory, release: string, version: number): Promise<boolean> {
  const wanted = `${release} ${version}`;
  return (await state.decisions()).some(({ subject, word }) => word === 'approve' && subject === wanted);
}

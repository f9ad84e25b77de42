/** Step 7: the publication of a module in a channel. */
import { join } from 'node:path';
import { proofPath, provenancePath, temporaryFolder } from 'kpatch/parts';
import { type Factory, heldCves, type Job, type StoredBuild, type StoredPublication } from './factory.ts';

/** Publishes the module of a kernel, once, after a person approved it where the settings ask for that. */
export async function publishModule(factory: Factory, release: string): Promise<Job[]> {
  const { config, state, tools } = factory;
  const built = await state.read('build', release);
  if (built?.module === undefined || config.channel === undefined) return [];
  const { digest, name, provenance } = built.module;
  const before = await state.read('published', release);
  if (before?.module === digest) return [];
  const proof = await state.read('proof', release);
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
  await state.blobs.copy(digest, file);
  const proofFile = await state.pointer(`proof-file:${release}`);
  if (proofFile !== undefined && proof.verdict === 'proven') await state.blobs.copy(proofFile, proofPath(file));
  if (provenance !== undefined) await state.blobs.copy(provenance, provenancePath(file));
  const held = await heldCves(factory);
  const lost = (before?.cves ?? []).filter((cve) => !built.cves.includes(cve));
  const withdrawn = lost.map((cve) => ({ cve, reason: held.get(cve)?.reason ?? lostReason(cve, built) }));
  await tools.publish(config.channel, file, withdrawn);
  const at = new Date().toISOString();
  const since = Object.fromEntries(built.cves.map((cve) => [cve, before?.since?.[cve] ?? at]));
  const published: StoredPublication = { module: digest, version: built.version, cves: built.cves, at, name, since };
  await state.write('published', release, published);
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

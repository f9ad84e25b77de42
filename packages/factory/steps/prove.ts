/** Step 6: the proof of a module, with the upgrade from the published one and back. A patch that fails it is dropped, and the rest ships. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KpatchError, proofPath, temporaryFolder } from 'kpatch/parts';
import { tryBuild } from './build.ts';
import {
  exclude,
  type Factory,
  type Job,
  type Proved,
  type StoredPatch,
  type StoredProof,
  type StoredPublication,
} from './factory.ts';
import { findCulprit } from './parts/culprit.ts';
import { writePatches } from './parts/files.ts';

/** Proves the module of a kernel once. If a patch fails, it is excluded and the series is made again. */
export async function proveModule(factory: Factory, release: string): Promise<Job[]> {
  const { config, state } = factory;
  const built = await state.read('build', release);
  if (built?.module === undefined) return [];
  const { digest, name } = built.module;
  // The store lost it: built again, it has the same content.
  if ((await state.blobs.get(digest)) === undefined) return [{ step: 'build', kernel: release }];
  const before = await state.read('proof', release);
  const next: Job[] = [{ step: 'publish', kernel: release }];
  const plan = config.proof;
  if (plan === 'none') {
    const reasons = ['proof: "none" in factory.json'];
    if (before?.module !== digest)
      await state.write('proof', release, { module: digest, verdict: 'not proven', reasons });
    return next;
  }
  const predecessor = await predecessorOf(factory, release, digest);
  if (before?.module === digest && before.verdict === 'proven' && before.predecessor === predecessor?.module)
    return next;
  const series = await state.document('series', built.series);
  const patches = series?.patches ?? [];
  const prove = (module: string | Uint8Array, of: readonly StoredPatch[]): Promise<Outcome> =>
    proveOne(factory, { release, plan, name, module, patches: of, predecessor });
  const { reasons, report, proof, isVerdict } = await prove(digest, patches);
  const verdict = reasons.length === 0 ? 'proven' : 'refused';
  if (proof !== undefined) await state.point(`proof-file:${release}`, await state.blobs.put(proof));
  const stored: StoredProof = {
    module: digest,
    verdict,
    reasons,
    ...(report === undefined ? {} : { report: await state.blobs.put(report) }),
    ...(predecessor === undefined ? {} : { predecessor: predecessor.module }),
  };
  await state.write('proof', release, stored);
  await state.note('proof', release, { version: built.version, verdict, reasons });
  if (verdict === 'proven') return next;
  if (!isVerdict || patches.length === 0) return [];
  return await withoutFailing(factory, release, patches, reasons, async (some) => {
    if (some.length === patches.length) return await prove(digest, some);
    const attempt = await tryBuild(factory, release, some, [], built.version);
    if (attempt instanceof KpatchError) return { reasons: [], isVerdict: true };
    return await prove(attempt.built.module, some);
  });
}

/** The published module, which the new one replaces on machines. */
async function predecessorOf(
  { state }: Factory,
  release: string,
  digest: string,
): Promise<(StoredPublication & { name: string }) | undefined> {
  const published = await state.read('published', release);
  if (published?.name === undefined || published.module === digest) return undefined;
  return (await state.blobs.get(published.module)) === undefined ? undefined : { ...published, name: published.name };
}

interface Subject {
  readonly release: string;
  readonly plan: 'quick' | 'full';
  readonly name: string;
  /** A digest, or the bytes. */
  readonly module: string | Uint8Array;
  readonly patches: readonly StoredPatch[];
  readonly predecessor: { readonly module: string; readonly name: string } | undefined;
}

interface Outcome extends Proved {
  readonly proof?: Buffer;
  /** False if no proof came about, for example because a program is missing: that says nothing about a patch. */
  readonly isVerdict: boolean;
}

async function proveOne(factory: Factory, subject: Subject): Promise<Outcome> {
  const { blobs } = factory.state;
  const { release, plan, name, module, patches, predecessor } = subject;
  using folder = temporaryFolder('kpatch-factory-');
  const file = join(folder.path, `${name}.ko`);
  await blobs.copy(typeof module === 'string' ? module : await blobs.put(module), file);
  const predecessors: string[] = [];
  if (predecessor !== undefined) {
    predecessors.push(join(folder.path, `${predecessor.name}.ko`));
    await blobs.copy(predecessor.module, predecessors[0]!);
  }
  const files = (await writePatches(factory, release, patches, folder.path)).map((one) => one.file);
  try {
    const proved = await factory.tools.prove({ module: file, plan, predecessors, patches: files });
    const proof = existsSync(proofPath(file)) ? { proof: readFileSync(proofPath(file)) } : {};
    return { ...proved, ...proof, isVerdict: true };
  } catch (error) {
    if (!(error instanceof KpatchError) || error.code === 'interrupted') throw error;
    return { reasons: [`${error.code}: ${error.message}`], isVerdict: false };
  }
}

/** Finds the patch that fails and excludes it; none if the proof of the whole does not fail twice. */
async function withoutFailing(
  factory: Factory,
  release: string,
  patches: readonly StoredPatch[],
  reasons: readonly string[],
  prove: (some: readonly StoredPatch[]) => Promise<Outcome>,
): Promise<Job[]> {
  const { state } = factory;
  const isRefused = async (some: readonly StoredPatch[]): Promise<boolean> => {
    const { reasons: against, isVerdict } = await prove(some);
    return isVerdict && against.length > 0;
  };
  if (!(await isRefused(patches))) {
    const text = 'the proof failed once and not again, so no patch is left out and nothing is published';
    await state.note('proof', release, { text });
    return [];
  }
  const culprit = await findCulprit(patches, isRefused);
  const reason = `the proof refuses it: ${reasons.slice(0, 3).join('; ')}`;
  await exclude(factory, release, culprit.commit.id, { by: 'proof', reason, log: reasons.join('\n') });
  await state.note('refused', release, { commit: culprit.commit.id, cves: culprit.cves, reason });
  return [{ step: 'series', kernel: release }];
}

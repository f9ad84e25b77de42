/**
 * Step 5: one cumulative module. What the build refuses is rewritten where the settings allow it, else dropped with its
 * dependents, and the rest ships.
 */
import { KpatchError, temporaryFolder } from 'kpatch/parts';
import { type BuiltModule, exclude, type Factory, type Job, type StoredBuild, type StoredPatch } from './factory.ts';
import { findCulprit, withNeeded } from './parts/culprit.ts';
import { filesOf, type PatchFile, rewritingsOf, writePatches } from './parts/files.ts';
import { LONG_SERIES, screenSeries } from './parts/screen.ts';
import { acceptedHazards } from './review.ts';
import { rewritePatch } from './rewrite.ts';
import { fixedBy } from './series.ts';

/** Builds the series. If it refuses a patch, that patch is rewritten or excluded, and the series is made again. */
export async function buildModule(factory: Factory, release: string): Promise<Job[]> {
  const { state } = factory;
  const digest = await state.pointer(`series:${release}`);
  const series = digest === undefined ? undefined : await state.document('series', digest);
  if (digest === undefined || series === undefined) return [];
  const before = await state.read('build', release);
  const isStored = before?.module === undefined || (await state.blobs.get(before.module.digest)) !== undefined;
  if (before?.series === digest && isStored) return [{ step: 'prove', kernel: release }];
  const version = (before?.version ?? 0) + 1;
  const cves = fixedBy(series);
  const described = {
    series: digest,
    cves,
    dropped: series.dropped.map(({ commit, cves: own, reason }) => ({ commit: commit.id, cves: own, reason })),
  };
  if (series.patches.length === 0) {
    await state.write('build', release, { ...described, patches: [], version: before?.version ?? 0 });
    return [{ step: 'publish', kernel: release }];
  }
  const attempt = await tryBuild(factory, release, series.patches, cves, version);
  if (attempt instanceof KpatchError) return await withoutRefused(factory, release, series.patches, attempt);
  const { name, module, functions } = attempt.built;
  const provenance =
    attempt.built.provenance === undefined ? {} : { provenance: await state.blobs.put(attempt.built.provenance) };
  const stored = { name, digest: await state.blobs.put(module), functions, ...provenance };
  const patches = series.patches.map(({ commit, cves: own }, at) => {
    const { digest: patch, rewritten } = attempt.files[at]!;
    const notes = rewritten === undefined ? {} : { rewritten };
    return { commit: commit.id, subject: commit.subject, cves: own, digest: patch, ...notes };
  });
  const built: StoredBuild = { ...described, patches, version, module: stored };
  await state.write('build', release, built);
  await state.note('built', release, {
    version,
    cves: cves.length,
    patches: series.patches.length,
    functions: functions.length,
  });
  return [{ step: 'prove', kernel: release }];
}

/** Builds patches as they are to be built. Returns the error of the catalogue that refuses them. */
export async function tryBuild(
  factory: Factory,
  release: string,
  patches: readonly StoredPatch[],
  cves: readonly string[],
  version: number,
): Promise<{ built: BuiltModule; files: readonly PatchFile[] } | KpatchError> {
  const { tools, config } = factory;
  using folder = temporaryFolder('kpatch-factory-');
  const files = await writePatches(factory, release, patches, folder.path);
  const accepted = await acceptedHazards(factory, release, patches);
  try {
    const order = { release, patches: files.map(({ file }) => file), cves, version, deny: config.deny, accepted };
    return { built: await tools.build(order), files };
  } catch (error) {
    if (!(error instanceof KpatchError) || error.code === 'interrupted') throw error;
    return error;
  }
}

/** Rewrites or excludes the patch that the build refuses; of a long series all that are refused by themselves. */
async function withoutRefused(
  factory: Factory,
  release: string,
  patches: readonly StoredPatch[],
  whole: KpatchError,
): Promise<Job[]> {
  const attempt = async (some: readonly StoredPatch[]): Promise<KpatchError | undefined> => {
    const result = await tryBuild(factory, release, some, [], 1);
    return isRefusal(result) ? result : undefined;
  };
  if (patches.length > LONG_SERIES) {
    const settle = async (patch: StoredPatch, error: KpatchError): Promise<void> => {
      await settleRefused(factory, release, patches, patch, error);
    };
    if ((await screenSeries(factory, release, patches, attempt, settle)) > 0)
      return [{ step: 'series', kernel: release }];
  }
  const refuses = async (some: readonly StoredPatch[]): Promise<boolean> => (await attempt(some)) !== undefined;
  const culprit = (await suspectOf(factory, release, patches, whole)) ?? (await findCulprit(patches, refuses));
  const again = await tryBuild(factory, release, patches.slice(0, patches.indexOf(culprit) + 1), [], 1);
  return await settleRefused(factory, release, patches, culprit, again instanceof KpatchError ? again : whole);
}

/** Rewrites a refused patch, or excludes it. */
async function settleRefused(
  factory: Factory,
  release: string,
  patches: readonly StoredPatch[],
  culprit: StoredPatch,
  error: KpatchError,
): Promise<Job[]> {
  const rewriting = await rewritePatch(factory, release, patches, culprit, error);
  if (rewriting.done) return [{ step: 'build', kernel: release }];
  const more = rewriting.problem === undefined ? '' : `; rewriting it: ${rewriting.problem}`;
  const reason = `the build refuses it (${error.code}): ${error.message}${more}`;
  const log = [error.message, error.detail ?? '', rewriting.problem ?? ''].filter((text) => text !== '').join('\n\n');
  await exclude(factory, release, culprit.commit.id, { by: 'build', reason, log });
  await factory.state.note('refused', release, { commit: culprit.commit.id, cves: culprit.cves, reason });
  return [{ step: 'series', kernel: release }];
}

/** Changes that have no code in this kernel refuse nothing, but build nothing either. */
function isRefusal(result: object): result is KpatchError {
  return result instanceof KpatchError && result.exit !== 3;
}

/** More suspects than this take longer to try than halving the series. */
const SUSPECTS = 4;

/**
 * A patch that the build refuses also without the rest of the series, only with what it needs: the error mostly names a file,
 * and few patches change it. Undefined if none of them is refused by itself.
 */
async function suspectOf(
  factory: Factory,
  release: string,
  patches: readonly StoredPatch[],
  error: KpatchError,
): Promise<StoredPatch | undefined> {
  const words = `${error.message} ${error.detail ?? ''} ${JSON.stringify(error.where)}`;
  const rewritings = await rewritingsOf(factory, release);
  const suspects: StoredPatch[] = [];
  for (const patch of patches) {
    const text = await factory.state.blobs.get(rewritings[patch.digest]?.digest ?? patch.digest);
    const files = filesOf(text).filter((file) => /\.[chS]$/.test(file));
    if (files.some((file) => words.includes(file.slice(0, -2)))) suspects.push(patch);
  }
  for (const suspect of suspects.slice(-SUSPECTS).reverse())
    if (isRefusal(await tryBuild(factory, release, withNeeded(suspect, patches), [], 1))) return suspect;
  return undefined;
}

/** Step 4: one cumulative module. What the build refuses is dropped with its dependents, and the rest ships. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KpatchError, temporaryFolder } from 'kpatch/parts';
import type { BuiltModule, Factory, Job, StoredBuild, StoredPatch, StoredSeries } from './factory.ts';
import { type Excluded, fixedBy } from './series.ts';

/** Builds the series. If it refuses a patch, that patch is excluded and the series is made again. */
export async function buildModule(factory: Factory, release: string): Promise<Job[]> {
  const { state } = factory;
  const digest = await state.pointer(`series:${release}`);
  const series = state.blobs.getJSON<StoredSeries>(digest);
  if (digest === undefined || series === undefined) return [];
  const before = await state.read<StoredBuild>(`build:${release}`);
  if (before?.series === digest) return [{ step: 'prove', kernel: release }];
  const version = (before?.version ?? 0) + 1;
  const cves = fixedBy(series);
  const described = {
    series: digest,
    cves,
    patches: series.patches.map(({ commit, cves: own }) => ({ commit: commit.id, subject: commit.subject, cves: own })),
    dropped: series.dropped.map(({ commit, cves: own, reason }) => ({ commit: commit.id, cves: own, reason })),
  };
  if (series.patches.length === 0) {
    await state.write(`build:${release}`, { ...described, version: before?.version ?? 0 });
    return [{ step: 'publish', kernel: release }];
  }
  const attempt = await tryBuild(factory, release, series.patches, cves, version);
  if (attempt instanceof KpatchError) {
    const culprit =
      (await suspectOf(factory, release, series.patches, attempt)) ??
      (await findCulprit(factory, release, series.patches));
    const reason = await refusalOf(factory, release, series.patches, culprit, attempt);
    const excluded = (await state.read<Excluded>(`excluded:${release}`)) ?? {};
    await state.write(`excluded:${release}`, { ...excluded, [culprit.commit.id]: reason });
    await state.note('refused', release, { commit: culprit.commit.id, cves: culprit.cves, reason });
    return [{ step: 'series', kernel: release }];
  }
  const { name, module, functions } = attempt;
  const provenance = attempt.provenance === undefined ? {} : { provenance: state.blobs.put(attempt.provenance) };
  const stored = { name, digest: state.blobs.put(module), functions, ...provenance };
  const built: StoredBuild = { ...described, version, module: stored };
  await state.write(`build:${release}`, built);
  await state.note('built', release, {
    version,
    cves: cves.length,
    patches: series.patches.length,
    functions: functions.length,
  });
  return [{ step: 'prove', kernel: release }];
}

async function tryBuild(
  { state, tools }: Factory,
  release: string,
  patches: readonly StoredPatch[],
  cves: readonly string[],
  version: number,
): Promise<BuiltModule | KpatchError> {
  using folder = temporaryFolder('kpatch-factory-');
  const files = patches.map(({ digest, commit }, index) => {
    const file = join(folder.path, `${String(index + 1).padStart(4, '0')}-${commit.id.slice(0, 12)}.patch`);
    writeFileSync(file, state.blobs.get(digest) ?? '');
    return file;
  });
  try {
    return await tools.build({ release, patches: files, cves, version });
  } catch (error) {
    if (!(error instanceof KpatchError) || error.code === 'interrupted') throw error;
    return error;
  }
}

/** Changes that have no code in this kernel refuse nothing, but build nothing either. */
function isRefusal(result: BuiltModule | KpatchError): result is KpatchError {
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
  const suspects = patches.filter(({ digest }) => {
    const text = factory.state.blobs.get(digest)?.toString('latin1') ?? '';
    const files = [...text.matchAll(/^\+\+\+ b\/(\S+)\.[chS]$/gm)].map(([, file]) => file!);
    return files.some((file) => words.includes(file));
  });
  for (const suspect of suspects.slice(-SUSPECTS).reverse()) {
    const alone = patches.filter((one) => one === suspect || isNeededBy(one, suspect, patches));
    if (isRefusal(await tryBuild(factory, release, alone, [], 1))) return suspect;
  }
  return undefined;
}

function isNeededBy(one: StoredPatch, by: StoredPatch, patches: readonly StoredPatch[]): boolean {
  return by.needs.some((id) => {
    const needed = patches.find(({ commit }) => commit.id === id);
    return needed !== undefined && (needed === one || isNeededBy(one, needed, patches));
  });
}

/**
 * The patch that the build refuses: the last one of the shortest refused beginning of the series. Every beginning of the series
 * has what its patches need, so each can be built by itself.
 */
async function findCulprit(factory: Factory, release: string, patches: readonly StoredPatch[]): Promise<StoredPatch> {
  let good = 0;
  let bad = patches.length;
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    const result = await tryBuild(factory, release, patches.slice(0, middle), [], 1);
    if (isRefusal(result)) bad = middle;
    else good = middle;
  }
  return patches[bad - 1]!;
}

/** The reason against one patch, without what only the whole series says. */
async function refusalOf(
  factory: Factory,
  release: string,
  patches: readonly StoredPatch[],
  culprit: StoredPatch,
  whole: KpatchError,
): Promise<string> {
  const result = await tryBuild(factory, release, patches.slice(0, patches.indexOf(culprit) + 1), [], 1);
  const { code, message } = result instanceof KpatchError ? result : whole;
  return `the build refuses it (${code}): ${message}`;
}

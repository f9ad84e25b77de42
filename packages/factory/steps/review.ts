/** Step 4: the review of the series. A hazardous fix is left out with its dependents until a person accepts it. */
import { type Hazard, hazardText } from 'kpatch';
import { KpatchError, plural, sha256, temporaryFolder } from 'kpatch/parts';
import type { StoredDocument } from '../store/documents.ts';
import { acceptedSubjects, exclude, type Factory, type Job, type StoredPatch } from './factory.ts';
import { filesOf, writePatches } from './parts/files.ts';

/** Hazards by what was reviewed: a patch, and what comes before it in the files that it changes. */
type Reviewed = StoredDocument<'reviewed'>;

/** A hazard that was accepted is known again by its kind and function: lines move with other patches. */
export const hazardKey = ({ kind, function: name }: Pick<Hazard, 'kind' | 'function'>): string => `${kind} ${name}`;

/** Reviews each patch of the series after those before it. Nothing is compiled, and what is known is not read again. */
export async function reviewSeries(factory: Factory, release: string): Promise<Job[]> {
  const { state, config } = factory;
  const series = await state.read('series', release);
  if (series === undefined) return [];
  const accepted = await acceptedSubjects(factory);
  const { hazards, keys } = await reviewed(factory, release, series.patches);
  let dropped = 0;
  for (const patch of series.patches) {
    const denied = (hazards.get(patch) ?? []).filter(({ kind }) => config.deny.includes(kind));
    const [first] = denied;
    if (first === undefined || isAccepted(patch, accepted)) continue;
    const more = denied.length > 1 ? `, and ${plural(denied.length - 1, 'other hazard')}` : '';
    const subject = patch.cves[0] ?? patch.commit.id.slice(0, 12);
    const reason = `the review finds it hazardous (${first.kind}): ${first.function} (${first.place}): ${first.reason}${more}`;
    const log = [...denied.map(hazardText), `kpatch-factory accept ${subject} --reason TEXT`].join('\n');
    await exclude(factory, release, patch.commit.id, { by: 'review', reason, log });
    await state.note('refused', release, { commit: patch.commit.id, cves: patch.cves, reason });
    dropped++;
  }
  await state.write('reviewed', release, keys);
  return [{ step: dropped > 0 ? 'series' : 'build', kernel: release }];
}

export function isAccepted({ commit, cves }: StoredPatch, accepted: ReadonlySet<string>): boolean {
  return [commit.id, ...cves].some((subject) => accepted.has(subject));
}

async function reviewed(
  factory: Factory,
  release: string,
  patches: readonly StoredPatch[],
): Promise<{ hazards: Map<StoredPatch, readonly Hazard[]>; keys: Reviewed }> {
  const { state, tools } = factory;
  const known = (await state.read('reviewed', release)) ?? {};
  const hazards = new Map<StoredPatch, readonly Hazard[]>();
  const keys: Record<string, readonly Hazard[]> = {};
  using folder = temporaryFolder('kpatch-factory-');
  const files = await writePatches(factory, release, patches, folder.path);
  const changed = await Promise.all(files.map(async ({ digest }) => filesOf(await state.blobs.get(digest))));
  const requests = patches.map((patch, at) => {
    const earlier = files
      .slice(0, at)
      .filter((_, other) => changed[other]!.some((file) => changed[at]!.includes(file)));
    const key = sha256([release, files[at]!.digest, ...earlier.map(({ digest }) => digest)].join('\n'));
    return { patch, key, patches: [files[at]!.file], earlier: earlier.map(({ file }) => file) };
  });
  const fresh = requests.filter(({ key }) => known[key] === undefined);
  const found = fresh.length === 0 ? [] : await tools.review(release, fresh);
  for (const { patch, key } of requests) {
    const result = known[key] ?? found[fresh.findIndex((one) => one.patch === patch)];
    // A patch that the review cannot place is refused by the build, which says more.
    const own = result === undefined || result instanceof KpatchError ? [] : result;
    keys[key] = own;
    hazards.set(patch, own);
  }
  return { hazards, keys };
}

/** Keys of the hazards that a person accepted in these patches. */
export async function acceptedHazards(
  factory: Factory,
  release: string,
  patches: readonly StoredPatch[],
): Promise<string[]> {
  const accepted = await acceptedSubjects(factory);
  if (accepted.size === 0) return [];
  const { hazards } = await reviewed(factory, release, patches);
  return patches.flatMap((patch) => (isAccepted(patch, accepted) ? (hazards.get(patch) ?? []).map(hazardKey) : []));
}

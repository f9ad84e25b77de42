/** Which patch of a series is the one that a build or a proof refuses. */
import type { StoredPatch } from '../factory.ts';

/**
 * The last patch of the shortest beginning that is refused. Every beginning of the series has what its patches need, so each can be
 * built by itself. The whole is known to be refused.
 */
export async function findCulprit(
  patches: readonly StoredPatch[],
  isRefused: (beginning: readonly StoredPatch[]) => Promise<boolean>,
): Promise<StoredPatch> {
  let good = 0;
  let bad = patches.length;
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (await isRefused(patches.slice(0, middle))) bad = middle;
    else good = middle;
  }
  return patches[bad - 1]!;
}

/** A patch with everything in the series that it needs. */
export function withNeeded(patch: StoredPatch, patches: readonly StoredPatch[]): StoredPatch[] {
  return patches.filter((one) => one === patch || isNeededBy(one, patch, patches));
}

function isNeededBy(one: StoredPatch, by: StoredPatch, patches: readonly StoredPatch[]): boolean {
  return by.needs.some((id) => {
    const needed = patches.find(({ commit }) => commit.id === id);
    return needed !== undefined && (needed === one || isNeededBy(one, needed, patches));
  });
}

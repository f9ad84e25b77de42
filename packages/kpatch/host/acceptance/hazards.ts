/** What the host policy says about hazards that the review of a patch found. */
import type { Manifest } from '../../module/manifest.ts';

/** Why a module is refused; undefined if it has no hazard of a denied kind. A module that was not reviewed has unknown hazards. */
export function hazardProblem(manifest: Manifest | undefined, denied: readonly string[]): string | undefined {
  if (denied.length === 0 || manifest?.shield !== undefined) return undefined;
  if (manifest?.review === undefined) return 'its patch was not reviewed for hazards, and the policy denies some';
  const found = manifest.review.find(({ kind }) => denied.includes('all') || denied.includes(kind));
  return found === undefined
    ? undefined
    : `it has a hazard of the kind ${found.kind} in ${found.function} (${found.place}): ${found.reason}`;
}

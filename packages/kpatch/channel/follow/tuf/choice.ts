/** Which of the patches that a channel lists for a kernel is wanted: the newest, or in a fleet the one that its server chose. */
import type { ListedPatch } from '../../tuf/target.ts';

/** The digest of the module that was chosen for a kernel; undefined: keep what is there. */
export type Choose = (release: string) => string | undefined;

/** The wanted patch; undefined if there is none. What the channel does not list cannot be chosen. */
export function wantedPatch(
  listed: readonly ListedPatch[] | undefined,
  release: string,
  choose: Choose | undefined,
): ListedPatch | undefined {
  if (choose === undefined) return listed?.[0];
  const chosen = choose(release);
  return listed?.find(({ file }) => file.sha256 === chosen);
}

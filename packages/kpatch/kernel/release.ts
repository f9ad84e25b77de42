/** A kernel's release string, as `uname -r` prints it, and what can be read from it. */

/** The upstream version: `6.1.0-56-amd64` is { 6, 1, 0 }. */
export interface KernelVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

const releasePattern = /^(\d+)\.(\d+)(?:\.(\d+))?(?:[-+~._][A-Za-z0-9+~._-]*)?$/;

/** The version in front of a release string; undefined if the text is not one (also anything with a slash in it). */
export function parseRelease(release: string): KernelVersion | undefined {
  const match = release.length > 128 ? null : releasePattern.exec(release);
  if (match === null) return undefined;
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3] ?? 0) };
}

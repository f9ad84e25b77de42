/** The CVEs that a patch fixes, as far as its own text names them. */
import type { SourcePatch } from './patch.ts';

/** The CVE identifiers given and those in the patches' descriptions (the text around the diffs), sorted. */
export function cvesOf(given: readonly string[], patches: readonly SourcePatch[]): string[] {
  const described = patches.flatMap(({ description }) => description.match(/\bCVE-\d{4}-\d{4,}\b/g) ?? []);
  return [...new Set([...given, ...described])].sort();
}

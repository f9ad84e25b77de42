/** Looks for hazards in the patched source (docs/review.md). */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Reporter } from '../../base/report.ts';
import type { Hazard } from '../../review/hazard.ts';
import { reviewFiles } from '../../review/patches.ts';
import { requireAllowed } from '../../review/review.ts';
import type { BuildRequest } from '../request.ts';
import type { Sources } from './compile/workshop.ts';

/** The hazards of the patches, which become part of the manifest. Error: `review-denied`. */
export async function reviewSources(
  { patched, leftOut }: Sources,
  { deny = [], shield }: BuildRequest,
  report: Reporter,
): Promise<readonly Hazard[]> {
  if (shield !== undefined) return [];
  const out = new Set(leftOut.map(({ file }) => file));
  const files = [...patched.copies].filter((file) => /\.(?:[ch]|inc)$/.test(file) && !out.has(file)).sort();
  const changes = files.map((file) => {
    const original = join(patched.tree, file);
    return {
      file,
      before: existsSync(original) ? readFileSync(original, 'latin1') : '',
      after: patched.text(file) ?? '',
    };
  });
  const hazards = await report.stage('review', () => reviewFiles(changes, patched.tree));
  requireAllowed(hazards, deny);
  return hazards;
}

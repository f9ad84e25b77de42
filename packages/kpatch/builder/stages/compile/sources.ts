/** Applies the patches of a series to an overlay of the source. */
import type { Reporter } from '../../../base/report.ts';
import type { SourceOverlay } from '../../../kbuild/overlay.ts';
import { type Adjustment, applyPatch } from '../../../source/apply.ts';
import type { SourcePatch } from '../../../source/patch.ts';
import { type Edit, watchEdits } from '../../cause.ts';

export interface AppliedPatches {
  readonly adjustments: readonly Adjustment[];
  readonly edits: readonly Edit[];
}

/** `title` names the source in messages. Errors: those of `applyPatch`. */
export async function applySeries(
  overlay: SourceOverlay,
  patches: readonly SourcePatch[],
  title: string,
  report: Reporter,
): Promise<AppliedPatches> {
  return await report.stage('apply', async () => {
    const adjustments: Adjustment[] = [];
    const edits: Edit[] = [];
    for (const patch of patches) {
      const editsMade = watchEdits(overlay, patch);
      adjustments.push(...(await applyPatch(overlay, patch, title, patches)));
      edits.push(...editsMade());
    }
    for (const { patch, file, hunk, fuzz, lines } of adjustments) {
      report.warn(`${patch}: hunk ${hunk} of ${file} applied with fuzz ${fuzz}; please check:\n${lines}`);
    }
    return { adjustments, edits };
  });
}

/** The functions that a report shows. */
import type { Proof } from '../../module/proof.ts';
import type { ReplacedFunction } from '../../module/tables.ts';
import { redirected } from '../checks/redirected.ts';
import type { Subject } from '../input/subject.ts';
import { isRecordOf } from '../run/record.ts';

/** The functions that livepatch listed in the guest, or those of the manifest if no guest got that far. */
export function functionsIn(proof: Proof, subject: Subject): readonly ReplacedFunction[] {
  for (const { evidence } of proof.checks.filter((record) => isRecordOf(record, redirected.id))) {
    const listed = evidence.map(({ data }) => (data as { functions?: ReplacedFunction[] } | undefined)?.functions);
    const found = listed.find((functions) => functions !== undefined);
    if (found !== undefined) return found;
  }
  return subject.functions ?? [];
}

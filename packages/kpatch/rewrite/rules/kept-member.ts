/** A structure loses a member, or has its members in another order: it keeps them as they were, and new code does not use what is gone. */
import type { Draft, Rule } from '../draft.ts';
import { asPlaced, mergeInto, structureChange, structureChanges, subjectOf, zeroMember } from '../merged-structure.ts';

export const keptMember: Rule = {
  name: 'kept-member',
  apply(draft: Draft): void {
    for (const { name } of structureChanges(draft)) {
      const change = structureChange(draft, name);
      if (change === undefined || (change.removed.length === 0 && !change.isReordered)) continue;
      const removed = change.removed.flatMap(({ names }) => names);
      const needy = change.removed.find((one) => zeroMember(one, draft.surroundings) === undefined);
      if (needy !== undefined) {
        draft.refused(
          'kept-member',
          `${name}.${needy.names.join(', ')}`,
          `new code does not initialise it any more, and old code, which is back after an unload, cannot use a "${needy.text}" of zeros`,
        );
        continue;
      }
      mergeInto(draft, change, asPlaced(change));
      draft.applied(
        'kept-member',
        subjectOf(change),
        removed.length === 0
          ? 'its members keep their old order'
          : 'the structure keeps it, and new code does not use it',
        removed.length === 0
          ? 'nothing depends on the new order'
          : 'old code, which runs until the transition is complete and after an unload, copes with 0 or an old value there',
      );
    }
  },
};

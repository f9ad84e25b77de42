/** A branch on a key that the patch cannot reach early enough: changed functions test the state of the key when they run. */
import { changeOf } from '../../review/change.ts';
import { functionNamed } from '../../source/c-functions.ts';
import type { Draft, Rule } from '../draft.ts';

const branch = /\bstatic_branch_(?:un)?likely\s*\(\s*(&\s*[\w.>-]+)\s*\)/g;

export const jumpLabel: Rule = {
  name: 'jump-label',
  apply(draft: Draft): void {
    const { functions } = changeOf([{ file: draft.file, before: draft.before, after: draft.text }]);
    for (const { name, after } of functions) {
      if (after === undefined) continue;
      const one = functionNamed(draft.text, name);
      if (one === undefined) continue;
      const body = draft.text.slice(one.open, one.end);
      const keys = [...body.matchAll(branch)].map(([, key]) => key!);
      if (keys.length === 0) continue;
      draft.replace(one.open, one.end, body.replace(branch, 'static_key_enabled($1)'));
      draft.applied(
        'jump-label',
        name,
        `it tests ${[...new Set(keys)].join(', ')} at run time`,
        'the test costs a read and a branch each time, and the key is not switched in the middle of the function',
      );
    }
  },
};

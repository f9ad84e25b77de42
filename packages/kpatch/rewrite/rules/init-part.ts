/** A changed `__init` or `__exit` function has already run, or runs only when the module goes: the change is left out, with a reason. */
import { changeOf } from '../../review/change.ts';
import { functionNamed } from '../../source/c-functions.ts';
import type { Draft, Rule } from '../draft.ts';

export const initPart: Rule = {
  name: 'init-part',
  apply(draft: Draft): void {
    const { functions } = changeOf([{ file: draft.file, before: draft.before, after: draft.text }]);
    for (const { name, before, after, added } of functions) {
      if (before === undefined || after === undefined || !/\b__(?:init|exit)\b/.test(before.head)) continue;
      const now = functionNamed(draft.text, name);
      const then = functionNamed(draft.before, name);
      if (now === undefined || then === undefined || now.head !== then.head) {
        draft.refused('init-part', name, 'its declaration changes');
        continue;
      }
      const isInit = /\b__init\b/.test(before.head);
      // Without a call or an assignment nothing was to be done to the running system.
      const acts = added.some(
        ({ text }) =>
          /(?:^|[^=!<>])=(?!=)|\w\s*\(/.test(text) && !/^(?:if|return|goto|err|ret)\b|^(?:err|ret|rc)\s*=/.test(text),
      );
      if (isInit && acts) {
        draft.refused(
          'init-part',
          name,
          'the new code does something when the module is loaded, which a person must turn into a callback',
        );
        continue;
      }
      draft.replace(now.open, now.end, draft.before.slice(then.open, then.end));
      draft.applied(
        'init-part',
        name,
        isInit
          ? 'its change is left out: it only handles failures of a load that has succeeded'
          : 'its change is left out: the code of the loaded module runs when it goes',
        isInit
          ? 'the module is loaded, or is loaded again only from a fixed file'
          : 'removing the module keeps the old behaviour',
      );
    }
  },
};

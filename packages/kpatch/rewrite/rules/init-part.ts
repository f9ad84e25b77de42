/** A changed `__init` or `__exit` function has already run, or runs only when the module goes: the change is left out, with a reason. */
import { callsOf, changeOf, type Statement } from '../../review/change.ts';
import { closingParenthesis, functionNamed } from '../../source/c-functions.ts';
import type { Draft, Rule } from '../draft.ts';

export const initPart: Rule = {
  name: 'init-part',
  apply(draft: Draft): void {
    const { functions } = changeOf([{ file: draft.file, before: draft.before, after: draft.text }]);
    for (const { name, before, after, removed, added } of functions) {
      if (before === undefined || after === undefined || !/\b__(?:init|exit)\b/.test(before.head)) continue;
      const now = functionNamed(draft.text, name);
      const then = functionNamed(draft.before, name);
      if (now === undefined || then === undefined || now.head !== then.head) {
        draft.refused('init-part', name, 'its declaration changes');
        continue;
      }
      const isInit = /\b__init\b/.test(before.head);
      const acts = isInit && actsOtherwise(before.body, after.body, removed, added);
      if (acts) {
        draft.refused(
          'init-part',
          name,
          'the new code does something else when the kernel starts or the module is loaded, which a person must turn into a callback',
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

const prints =
  /^(?:pr_\w+|panic|WARN\w*|printk\w*|dev_(?:err|warn|info|dbg|notice)\w*|IS_ERR\w*|PTR_ERR\w*|ERR_PTR|ERR_CAST|unlikely|likely)$/;
const result = /^(?:\w+ )?(?:err|error|ret|rc|rv|res|retval|status|result)\s*=(?!=)/;

/** Names of results in conditions, and what asks about them. */
const ofResults =
  /^(?:err|error|ret|rc|rv|res|retval|status|result|IS_ERR\w*|PTR_ERR\w*|unlikely|likely|if|else|E[A-Z]+|NULL)$/;
const failing = /^(?:return (?!0$)|goto |pr_\w+|printk|dev_\w+|WARN|panic)/;

/**
 * True if the two versions do different things in a run without a failure. What is left of a change otherwise: checks of results,
 * messages, and what stands behind the last successful return.
 */
function actsOtherwise(
  before: string,
  after: string,
  removed: readonly Statement[],
  added: readonly Statement[],
): boolean {
  const gone = onTheWay(before, removed);
  const come = onTheWay(after, added);
  if ([...gone, ...come].some(({ text }) => /^return(?: 0)?$/.test(text))) return true;
  if (decides(gone) || decides(come)) return true;
  const assigns = ({ text }: Statement): boolean => {
    const action = actionOf(text);
    return (/(?:^|[^=!<>])=(?!=)/.test(action) && !result.test(action)) || /\+\+|--/.test(action);
  };
  if ([...gone, ...come].some(assigns)) return true;
  const called = (list: readonly Statement[]): string =>
    callsOf(list)
      .filter(({ name }) => !prints.test(name))
      .map(({ name, arguments: given }) => `${name}(${given.join()})`)
      .sort()
      .join(';');
  return called(gone) !== called(come);
}

/** What a statement does behind its `if (…)`; empty if that is a block. */
function actionOf(text: string): string {
  const head = /^(?:else )?if ?(?=\()/.exec(text);
  return head === null ? text : text.slice(closingParenthesis(text, head[0].length + 1) + 1).trim();
}

/** True if one of the statements decides about more than how a failure ends. */
function decides(list: readonly Statement[]): boolean {
  return list.some(({ text }, index) => {
    if (/^(?:else )?(?:while|for|switch|do)\b/.test(text) || text === 'else') return true;
    if (!/^(?:else )?if\b/.test(text)) return false;
    const action = actionOf(text);
    const condition = text.slice(0, text.length - action.length);
    if ((condition.match(/\b[A-Za-z_]\w*/g) ?? []).every((word) => ofResults.test(word))) return false;
    return !failing.test(action === '' ? (list[index + 1]?.text ?? '') : action);
  });
}

/**
 * The statements that a run without a failure can reach: those in front of a last successful return that a label follows or nothing, or
 * else all.
 */
function onTheWay(body: string, statements: readonly Statement[]): Statement[] {
  const last = [...body.matchAll(/\breturn(?:\s+0)?\s*;/g)].at(-1);
  const rest = last === undefined ? '' : body.slice(last.index + last[0].length);
  const end = last !== undefined && /^\s*(?:\w+\s*:(?!:)|\}?\s*$)/.test(rest) ? last.index : body.length;
  const reached = body.slice(0, end).replace(/\s+/g, ' ');
  return statements.filter(({ text }) => reached.includes(text) || /^return(?: 0)?$/.test(text));
}

/** A reference that new code takes in one function and gives back in another: for objects from before the load nobody took it. */
import { type Change, callsOf, type FunctionChange, placeOf, type Statement } from '../change.ts';
import type { Hazard, HazardKind } from '../hazard.ts';

export const referenceChange: HazardKind = {
  kind: 'reference-change',
  title: 'New code gives back a reference, or ends a section, that old code never took, or the other way round.',
  find: (change) => [...pairs(change, 'added'), ...pairs(change, 'removed')],
};

/** Names of functions that take and give back, and the stem that both share. */
const forms: readonly (readonly [take: RegExp, give: RegExp])[] = [
  [
    /^_*(\w*?)_?(?:get|hold|ref|grab)(?:_rcu|_unless_zero|_not_zero)?$/,
    /^_*(\w*?)_?(?:put|drop|unref|release)(?:_rcu)?$/,
  ],
  [/^(refcount|kref|atomic|atomic64)_(?:inc|get|add)\w*$/, /^(refcount|kref|atomic|atomic64)_(?:dec|put|sub)\w*$/],
  [/^(try_module|module|dev|pm_runtime|percpu_ref)_?get\w*$/, /^(module|dev|pm_runtime|percpu_ref)_?put\w*$/],
];

interface Call {
  readonly change: FunctionChange;
  readonly statement: Statement;
  readonly stem: string;
  readonly name: string;
}

function pairs({ functions }: Change, side: 'added' | 'removed'): Hazard[] {
  const existing = functions.filter(({ before, after }) => before !== undefined && after !== undefined);
  const takes = existing.flatMap((change) => callsNamed(change, side, 0));
  const gives = existing.flatMap((change) => callsNamed(change, side, 1));
  const found: Hazard[] = [];
  for (const give of gives) {
    const own = takes.some((take) => take.change.name === give.change.name && take.stem === give.stem);
    const other = takes.find((take) => take.stem === give.stem && take.change.name !== give.change.name);
    const alone =
      other !== undefined && gives.every((one) => one.stem !== give.stem || one.change.name !== other.change.name);
    if (own || other === undefined || !alone) continue;
    const what =
      side === 'added'
        ? `${other.name} is new in ${other.change.name} and ${give.name} in ${give.change.name}: for an object that the old ${other.change.name} handled, nothing was taken`
        : `${other.name} is gone from ${other.change.name} and ${give.name} from ${give.change.name}: what the old ${other.change.name} took is never given back`;
    found.push({
      kind: 'reference-change',
      place: placeOf(give.change, give.statement),
      function: give.change.name,
      reason: what,
      remedy: 'mark objects that hold the new reference (a flag or a shadow variable), and give it back only for those',
    });
  }
  return found.filter((one, at) => found.findIndex(({ reason }) => reason === one.reason) === at);
}

function callsNamed(change: FunctionChange, side: 'added' | 'removed', index: 0 | 1): Call[] {
  const against = side === 'added' ? change.removed : change.added;
  return callsOf(change[side]).flatMap((call): Call[] => {
    if (callsOf(against).some(({ name }) => name === call.name)) return [];
    const stem = forms
      .map((form) => form[index].exec(call.name)?.[1])
      .find((found) => found !== undefined && found !== '');
    return stem === undefined ? [] : [{ change, statement: call.statement, stem, name: call.name }];
  });
}

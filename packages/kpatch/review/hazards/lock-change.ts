/**
 * A lock or RCU section that is taken in one function and released in another, where the patch changes only one side, or another lock
 * for the same data: a task between the two, or an unchanged function, still uses the old lock.
 */
import { type CFunction, callsIn } from '../../source/c-functions.ts';
import { type LockCall, lockCalls, unbalanced } from '../../source/locks.ts';
import { type Change, type FunctionChange, placeOf } from '../change.ts';
import type { Hazard, HazardKind } from '../hazard.ts';

export const lockChange: HazardKind = {
  kind: 'lock-change',
  title: 'Which lock a function holds for its caller changes, or the same data is protected by another lock.',
  find: (change) => change.functions.flatMap((one) => [...handover(one), ...replaced(one, change)]),
};

function handover(change: FunctionChange): Hazard[] {
  const { before, after } = change;
  if (before === undefined || after === undefined) return [];
  const [old, now] = [handed(before), handed(after)];
  const differs = (a: readonly LockCall[], b: readonly LockCall[]): LockCall | undefined =>
    a.find(({ key }) => !b.some((other) => other.key === key));
  const taken = differs(now.kept, old.kept) ?? differs(old.kept, now.kept);
  const released = differs(now.released, old.released) ?? differs(old.released, now.released);
  const lock = taken ?? released;
  // The same bit, cleared with another order of memory.
  if (lock !== undefined && /^_*clear_bit_unlock\b/.test(lock.text) && /\bclear_bit\s*\(/.test(before.body)) return [];
  // A variable that was renamed is the same lock.
  if (lock === undefined || (old.kept.length === now.kept.length && old.released.length === now.released.length))
    return [];
  const what = taken === undefined ? 'releases for its caller' : 'returns with';
  return [
    {
      kind: 'lock-change',
      place: placeOf(change, change.added[0] ?? change.removed[0]),
      function: change.name,
      reason: `which lock it ${what} changes (${lock.text}): a task that entered the old version, or an unchanged function, does the other half as before`,
      remedy: 'take and release the lock in the same function, or replace every function that does the other half',
    },
  ];
}

/**
 * What a function changes of the locks that its caller holds. It took itself what a call gave it in a variable of its own: by a result, or
 * by the address of the variable.
 */
function handed({ body, parameters }: CFunction): ReturnType<typeof unbalanced> {
  const { released, kept } = unbalanced(body);
  const given = new Set(parameters.map(({ name }) => name));
  const calls = callsIn(body);
  const own = new Set(
    released.flatMap(({ key }) => {
      const on = /^\S+ (\w+)$/.exec(key)?.[1];
      return on === undefined || given.has(on) || !isGiven(body, on) ? [] : [on];
    }),
  );
  const takesOwn = ({ at }: LockCall): boolean =>
    own.has(/\b(\w+)\s*=\s*$/.exec(body.slice(0, at))?.[1] ?? '') ||
    calls.some((call) => call.at === at && call.arguments.some((text) => own.has(text.replace(/^& ?/, ''))));
  return {
    released: released.filter(({ key }) => !own.has(key.slice(key.indexOf(' ') + 1))),
    kept: kept.filter((one) => !takesOwn(one)),
  };
}

/** True if a call in the body sets the variable. */
function isGiven(body: string, variable: string): boolean {
  return new RegExp(`[(,]\\s*&\\s*${variable}\\s*[,)]|\\b${variable}\\s*=[^=;]*\\w\\s*\\(`).test(body);
}

/** Takes another lock than before, while unchanged functions of the files still take the old one. */
function replaced(change: FunctionChange, { unchanged, functions }: Change): Hazard[] {
  const { before, after } = change;
  if (before === undefined || after === undefined) return [];
  const keys = (body: string): Set<string> =>
    new Set(
      lockCalls(body)
        .filter((one) => one.kind === 'take' && !isLocal(one))
        .map(target),
    );
  const [old, now] = [keys(before.body), keys(after.body)];
  // Sections of RCU exclude nobody, so nobody misses them in another function.
  const gone = [...old].filter((key) => !now.has(key) && !key.startsWith('rcu_'));
  const come = [...now].filter((key) => !old.has(key));
  if (gone.length === 0 || come.length === 0) return [];
  const all = [
    ...unchanged,
    ...functions.flatMap((one) => (one.after === undefined ? [] : [{ ...one.after, file: one.file }])),
  ];
  const others = all.filter((one) => one.name !== change.name && [...keys(one.body)].some((key) => gone.includes(key)));
  const many =
    functions.filter((one) => one.before !== undefined && [...keys(one.before.body)].some((key) => gone.includes(key)))
      .length > 1;
  if (others.length === 0 && !many) return [];
  return [
    {
      kind: 'lock-change',
      place: placeOf(change, change.added[0]),
      function: change.name,
      reason: `it takes ${come[0]} instead of ${gone[0]}, which ${others[0]?.name ?? 'the old code of other functions'} still takes for the same data: during the transition, or for good, both run at the same time`,
      remedy: 'take the new lock in addition to the old one',
    },
  ];
}

/** True for a pointer in a variable, whose name says nothing of which lock it is in another function. */
function isLocal({ key, text }: LockCall): boolean {
  const on = key.slice(key.indexOf(' ') + 1);
  return /^\w+$/.test(on) && !text.includes('&');
}

/** The member or variable that is locked, whatever leads to it. */
function target({ key }: LockCall): string {
  const [family, ...rest] = key.split(' ');
  const on = rest.join(' ');
  return `${family} ${on.replace(/^.*(?:->|\.)/, '')}`.trim();
}

/** An exported function that callers outside of the tree use by its old rules. */
import { lockCalls } from '../../source/locks.ts';
import { type Change, callsOf, type FunctionChange, placeOf } from '../change.ts';
import type { Hazard, HazardKind } from '../hazard.ts';

export const exported: HazardKind = {
  kind: 'exported',
  title: 'The rules of an exported function change, which modules from outside the tree follow.',
  find: ({ functions, files }: Change) =>
    functions.flatMap((one) => {
      const text = files.find(({ file }) => file === one.file)?.before ?? '';
      return new RegExp(`\\bEXPORT_SYMBOL\\w*\\s*\\(\\s*${one.name}\\s*[,)]`).test(text) ? look(one) : [];
    }),
};

function look(change: FunctionChange): Hazard[] {
  const { before, after, added, removed, name } = change;
  const make = (reason: string, remedy: string): Hazard[] => {
    return [{ kind: 'exported', place: placeOf(change, added[0] ?? removed[0]), function: name, reason, remedy }];
  };
  if (before === undefined) return [];
  if (after === undefined) return make('it is removed although modules from outside the tree may call it', 'keep it');
  const types = (one: typeof before): string =>
    one.parameters
      .map(({ text, name: own }) => text.replace(new RegExp(`\\b${own}\\b(?!.*\\b${own}\\b)`), ''))
      .join(',')
      .replace(/\b(?:const|__\w+)\b|\s+/g, '');
  const result = (one: typeof before): string =>
    one.head.slice(0, one.head.indexOf(name)).replace(/\b(?:static|extern|inline|noinline|__\w+)\b|\s+/g, '');
  if (types(before) !== types(after) || result(before) !== result(after))
    return make(
      'its arguments or its result change: callers that are not built again pass and take the old ones',
      'keep the function and add a new one',
    );
  const calls = callsOf(added);
  const held = calls.find((call) => /^lockdep_assert_held\w*$/.test(call.name));
  if (held !== undefined && !callsOf(removed).some((one) => one.name === held.name))
    return make(
      `callers must now hold ${held.arguments[0] ?? 'a lock'}, which callers outside the tree do not know`,
      'take the lock in the function',
    );
  const sleeps = calls.find((call) =>
    /^(?:might_sleep|mutex_lock|down_read|down_write|synchronize_rcu|msleep|wait_event|schedule_timeout\w*|cancel_work_sync|flush_work)$/.test(
      call.name,
    ),
  );
  const slept =
    /\bmight_sleep|mutex_lock|down_(?:read|write)|GFP_KERNEL|synchronize_|msleep|wait_event|schedule\w*\s*\(|cancel_\w*_sync|flush_\w*work/.test(
      before.body,
    );
  if (sleeps !== undefined && !slept && lockCalls(before.body).length > 0)
    return make(
      `it now sleeps (${sleeps.name}), and callers outside the tree may call it with a spin lock held`,
      'use a form that does not sleep',
    );
  const errors = /\breturn ERR_PTR\s*\(/;
  if (
    /\*\s*$/.test(before.head.slice(0, before.head.indexOf(name))) &&
    errors.test(after.body) &&
    !errors.test(before.body)
  )
    return make('it now returns error pointers, and callers outside the tree test for NULL', 'return NULL');
  return [];
}

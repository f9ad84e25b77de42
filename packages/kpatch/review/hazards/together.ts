/**
 * Functions that must switch together: they speak to each other across tasks, through a barrier, a wait queue or an index. A live
 * patch switches tasks one by one, so old and new versions run at the same time.
 */
import { type Change, callsOf, type FunctionChange, membersOf, placeOf, type Statement } from '../change.ts';
import type { Hazard, HazardKind } from '../hazard.ts';

export const together: HazardKind = {
  kind: 'together',
  title: 'Functions that must switch at the same time, although tasks switch one by one.',
  find: ({ functions }: Change) => {
    const existing = functions.filter(({ before, after }) => before !== undefined && after !== undefined);
    return [...wakeups(existing), ...indices(existing)];
  },
};

/** A wait whose condition or queue changes, and a wake-up elsewhere that changes with it. */
function wakeups(functions: readonly FunctionChange[]): Hazard[] {
  const waits = functions.flatMap((change) =>
    changed(change, /^(?:___?)?wait_event\w*$|^wait_on_bit\w*$|^wait_for_completion\w*$|^wait_var_event\w*$/),
  );
  const wakes = functions.flatMap((change) =>
    changed(change, /^wake_up\w*$|^complete(?:_all)?$|^swake_up\w*$|^wake_up_bit$|^clear_and_wake_up_bit$/),
  );
  return waits.flatMap(({ change, statement, on, old }): Hazard[] => {
    const wake = wakes.find((one) => one.change.name !== change.name);
    if (wake === undefined || !old) return [];
    return [
      make(
        change,
        statement,
        `it waits in another way (${on}), and ${wake.change.name} wakes in another way: a task that sleeps in the old code waits for the old wake-up`,
      ),
    ];
  });
}

/** Calls that the patch replaces by others of the same kind, with other arguments. */
function changed(
  change: FunctionChange,
  names: RegExp,
): { change: FunctionChange; statement: Statement; on: string; old: boolean }[] {
  const removed = callsOf(change.removed).filter(({ name }) => names.test(name));
  return callsOf(change.added)
    .filter(({ name }) => names.test(name))
    .filter((call) => !removed.some((one) => one.name === call.name && one.arguments.join() === call.arguments.join()))
    .map(({ statement, name }) => ({ change, statement, on: name, old: removed.length > 0 }));
}

/** A producer and a consumer that both compute an index or sequence number in a new way. */
function indices(functions: readonly FunctionChange[]): Hazard[] {
  const index =
    /^(?:head|tail|prod|cons|producer|consumer|widx|ridx|seq|sequence|wr_idx|rd_idx|write_pos|read_pos|put|get|rptr|wptr|next_to_use|next_to_clean|gen|generation)$/;
  const writers = functions.flatMap((change) =>
    change.added.flatMap((statement) =>
      membersOf(statement)
        .written.filter(
          (name) => index.test(name) && change.removed.some((one) => membersOf(one).written.includes(name)),
        )
        .map((name) => ({ change, statement, name })),
    ),
  );
  return writers.flatMap(({ change, statement, name }): Hazard[] => {
    const other = functions.find(
      (one) => one.name !== change.name && touches(one.added, name) && touches(one.removed, name),
    );
    if (other === undefined) return [];
    return [
      make(
        change,
        statement,
        `it and ${other.name} both compute ${name} in a new way, and different tasks run them: during the transition one is old and one is new`,
      ),
    ];
  });
}

function touches(statements: readonly Statement[], name: string): boolean {
  return statements.some((statement) => {
    const { written, read } = membersOf(statement);
    return written.includes(name) || read.includes(name);
  });
}

function make(change: FunctionChange, statement: Statement, reason: string): Hazard {
  return {
    kind: 'together',
    place: placeOf(change, statement),
    function: change.name,
    reason,
    remedy: 'make the new versions work with the old ones, or stop the users of both while the patch is loaded',
  };
}

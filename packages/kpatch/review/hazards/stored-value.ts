/**
 * A member that one function stores and another one reads, both with a new meaning: objects that old code filled in keep the old
 * one. Also a callback argument that is passed and taken as something else.
 */
import { type Change, type FunctionChange, membersOf, placeOf, type Statement } from '../change.ts';
import type { Hazard, HazardKind } from '../hazard.ts';
import { structuresOf } from '../structures.ts';

/** Members of short-lived or counting use, whose stored values have no meaning of their own for later readers. */
const plain =
  /^(?:lock|mutex|sem|refcount|refcnt|ref|list|next|prev|head|tail|dev|ops|name|parent|stats|rx_\w+|tx_\w+|errors|dropped|bytes|packets)$/;

export const storedValue: HazardKind = {
  kind: 'stored-value',
  title: 'A member or callback argument that old code stored is read by new code with another meaning or type.',
  find: (change) => [...reinterpreted(change), ...retyped(change), ...recast(change), ...counters(change)],
};

interface Use {
  readonly change: FunctionChange;
  readonly statement: Statement;
}

/** Members that the patch writes differently in one function and reads differently in another. */
function reinterpreted({ functions }: Change): Hazard[] {
  const existing = functions.filter(({ before, after }) => before !== undefined && after !== undefined);
  const writes = new Map<string, Use[]>();
  const reads = new Map<string, Use[]>();
  for (const change of existing) {
    // A statement that only moves stores and reads what it did.
    const moved = new Set(change.removed.map(({ text }) => text));
    for (const statement of change.added.filter(({ text }) => !moved.has(text))) {
      const { written, read } = membersOf(statement);
      for (const name of written) if (wroteBefore(change, name)) add(writes, name, { change, statement });
      for (const name of read) if (readBefore(change, name)) add(reads, name, { change, statement });
    }
  }
  const found: Hazard[] = [];
  for (const [name, uses] of writes) {
    if (plain.test(name)) continue;
    const reader = reads.get(name)?.find(({ change }) => uses.every((use) => use.change.name !== change.name));
    if (reader === undefined) continue;
    const writer = uses[0]!;
    found.push({
      kind: 'stored-value',
      place: placeOf(reader.change, reader.statement),
      function: reader.change.name,
      reason: `${writer.change.name} now stores another value in ${name}, and ${reader.change.name} now reads it differently: objects from before the load keep the old value`,
      remedy: `accept both meanings in ${reader.change.name}, or convert existing objects in a callback`,
    });
  }
  return found;
}

function add(map: Map<string, Use[]>, name: string, use: Use): void {
  map.set(name, [...(map.get(name) ?? []), use]);
}

/** True if a removed statement writes the member too, so that its value changes instead of being new. */
function wroteBefore({ removed }: FunctionChange, name: string): boolean {
  return removed.some((statement) => membersOf(statement).written.includes(name));
}

function readBefore({ removed }: FunctionChange, name: string): boolean {
  return removed.some((statement) => membersOf(statement).read.includes(name));
}

/** Members of a structure whose type changes while their name stays. */
function retyped({ files }: Change): Hazard[] {
  return files.flatMap(({ file, before, after }) => {
    const old = structuresOf(before);
    return [...structuresOf(after)].flatMap(([name, now]) => {
      const then = old.get(name);
      if (then === undefined) return [];
      return [...now].flatMap(([member, type]): Hazard[] => {
        const earlier = then.get(member);
        if (earlier === undefined || earlier === type || same(earlier, type)) return [];
        return [
          {
            kind: 'stored-value',
            place: file,
            function: `struct ${name}`,
            reason: `the member ${member} of struct ${name} changes from "${earlier}" to "${type}": existing objects hold a value of the old type`,
            remedy: 'keep the type and convert where the member is used, or put the new value into a shadow variable',
          },
        ];
      });
    });
  });
}

const counting = (member: string): RegExp =>
  new RegExp(`\\b\\w+_(?:inc|add|dec|sub)_return\\w*\\([^;]*(?:->|\\.)${member}\\b|(?:->|\\.)${member}(?:\\+\\+|--)`);

/** A counter whose results were used is gone, and new code counts elsewhere: what was counted before the load is not there. */
function counters({ functions, files }: Change): Hazard[] {
  return functions.flatMap((user): Hazard[] => {
    if (user.after === undefined || !counting('\\w+').test(user.after.body)) return [];
    const member = user.removed
      .flatMap((statement) => membersOf(statement).read.filter((name) => counting(name).test(statement.text)))
      .find((name) => files.every(({ after }) => !new RegExp(`(?:->|\\.)${name}\\b`).test(after)));
    if (member === undefined) return [];
    return [
      {
        kind: 'stored-value',
        place: placeOf(user, user.added[0]),
        function: user.name,
        reason: `${user.name} no longer counts in ${member}, but elsewhere: existing objects have counted in ${member}`,
        remedy: `go on from ${member} for existing objects, which keep it`,
      },
    ];
  });
}

/** Types that store the same bytes with the same meaning. */
function same(a: string, b: string): boolean {
  const bare = (type: string): string =>
    type.replace(/\b(?:const|volatile|__rcu|__user|__iomem|__counted_by\([^)]*\))\s*/g, '').replace(/\s+/g, '');
  return bare(a) === bare(b);
}

/** A `void *` argument that a function takes as another type than before. */
function recast({ functions }: Change): Hazard[] {
  return functions.flatMap((change): Hazard[] => {
    const { before, after, removed, added } = change;
    if (before === undefined || after === undefined) return [];
    const opaque = after.parameters.filter(({ text }) => /^(?:const )?void ?\* ?\w+$|^unsigned long \w+$/.test(text));
    return opaque.flatMap(({ name }): Hazard[] => {
      const cast = new RegExp(`^(?:const )?(struct \\w+) ?\\* ?\\w+ = (?:\\([^)]*\\) ?)?${name}$`);
      const old = removed.map(({ text }) => cast.exec(text)?.[1]).find((type) => type !== undefined);
      const now = added.find(({ text }) => cast.test(text));
      const type = now === undefined ? undefined : cast.exec(now.text)![1];
      if (old === undefined || type === undefined || old === type) return [];
      return [
        {
          kind: 'stored-value',
          place: placeOf(change, now),
          function: change.name,
          reason: `${name} is taken as ${type} instead of ${old}: what was registered before the load still passes ${old}`,
          remedy: 'leave the argument as it is, or register everything again in a callback',
        },
      ];
    });
  });
}

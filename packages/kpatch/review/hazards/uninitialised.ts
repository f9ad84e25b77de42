/** A member that new code initialises in one function and uses in another: objects from before the load were never initialised so. */
import { type Change, callsOf, type FunctionChange, memberOf, membersOf, placeOf, type Statement } from '../change.ts';
import type { Hazard, HazardKind } from '../hazard.ts';
import { structuresOf } from '../structures.ts';

export const uninitialised: HazardKind = {
  kind: 'uninitialised',
  title: 'New code uses a lock, timer, list, flag or new member that only new code initialises.',
  find: (change) => [...initialisers(change), ...flags(change), ...newMembers(change), ...newFields(change)],
};

const initialiser =
  /^(?:spin_lock_init|raw_spin_lock_init|mutex_init|init_rwsem|rwlock_init|sema_init|init_completion|init_waitqueue_head|INIT_LIST_HEAD|INIT_HLIST_HEAD|INIT_(?:DELAYED_|DEFERRABLE_|RCU_)?WORK|timer_setup|hrtimer_(?:init|setup)|tasklet_(?:init|setup)|kref_init|refcount_set|init_srcu_struct|xa_init\w*|idr_init|ida_init|skb_queue_head_init|seqlock_init|seqcount_init|init_rcu_head|kthread_init_work|percpu_ref_init|bitmap_zero|atomic_set)$/;

function initialisers({ functions, files }: Change): Hazard[] {
  const existing = functions.filter(({ before, after }) => before !== undefined && after !== undefined);
  // A member that another structure has now was never initialised there.
  const fresh = new Set(files.flatMap(addedMembers).map(([, member]) => member));
  const found: Hazard[] = [];
  for (const maker of existing) {
    for (const call of callsOf(maker.added)) {
      const member = memberOf(call.arguments[0] ?? '');
      if (!initialiser.test(call.name) || member === undefined) continue;
      const again = callsOf(maker.removed).some(
        (one) => one.name === call.name && memberOf(one.arguments[0] ?? '') === member,
      );
      if (again && !fresh.has(member)) continue;
      const user = existing.find(
        (one) =>
          one.name !== maker.name &&
          (fresh.has(member) ? statementWith(one, member) !== undefined : usesMember(one, member)),
      );
      if (user === undefined) continue;
      found.push(
        hazard(
          user,
          statementWith(user, member),
          `${call.name}(${call.arguments[0]}) is new in ${maker.name}, and ${user.name} now uses ${member}`,
          member,
        ),
      );
    }
  }
  return found;
}

const preparing = /probe|init|setup|create|alloc|attach|bind|start|open|new|register|connect|bringup/i;

/** A member that a structure of the heap has only after the patch: what prepares an object stores it, and something else reads it. */
function newMembers({ functions, unchanged, files }: Change): Hazard[] {
  const found: Hazard[] = [];
  for (const [struct, member] of files.flatMap(addedMembers)) {
    const bodies = [...unchanged, ...functions.flatMap(({ after }) => after ?? [])].map(({ body }) => body);
    if (bodies.some((body) => isOnStack(struct, body))) continue;
    // Memory that is not cleared has anything there.
    const stores = ({ added, after }: FunctionChange): boolean =>
      added.some(
        (one) =>
          membersOf(one).written.includes(member) &&
          (!storesNothing(one.text, member) || /\bk(?:malloc|mem_cache_alloc)\w*\s*\(/.test(after?.body ?? '')),
      );
    const reads = ({ added }: FunctionChange): Statement | undefined =>
      added.find((one) => membersOf(one).read.includes(member));
    const maker = functions.find((one) => preparing.test(one.name) && stores(one));
    const user = functions.find((one) => one !== maker && !preparing.test(one.name) && reads(one) !== undefined);
    if (maker === undefined || user === undefined) continue;
    const what = `${maker.name} sets the new member ${member} of struct ${struct}, and ${user.name} reads it`;
    found.push(hazard(user, reads(user), what, member));
  }
  return found;
}

/** A field that static data has only after the patch, and that new code reads: data that is registered lacks it. */
function newFields({ functions, unchanged, files }: Change): Hazard[] {
  const found: Hazard[] = [];
  const defined = new Set([...functions, ...unchanged].map(({ name }) => name));
  for (const { before, after } of files) {
    const old = fieldsOfData(before);
    for (const [field, { data, value }] of fieldsOfData(after)) {
      // Data that the patch adds, or that has it already, is no data from before the load.
      // A function that a table now has is no value that new code computes with.
      if (old.has(field) || defined.has(value) || !new RegExp(`\\b${data}\\b`).test(before)) continue;
      const user = functions.find(
        (one) => one.added.some((text) => membersOf(text).read.includes(field)) && usesMember(one, field),
      );
      if (user === undefined) continue;
      found.push(
        hazard(user, statementWith(user, field), `${data} now says .${field}, and ${user.name} now reads it`, field),
      );
    }
  }
  return found;
}

/** Fields that initial values of static structures name, with one structure or table that has it, and its value there. */
function fieldsOfData(text: string): Map<string, { readonly data: string; readonly value: string }> {
  const fields = new Map<string, { readonly data: string; readonly value: string }>();
  const data = /^(?:static\s+)?(?:const\s+)?struct\s+\w+\s+(?:const\s+)?(\w+)[^=;(){}]*=\s*\{[^\n}]*\n([\s\S]*?)^\}/gm;
  for (const [, name, body] of text.matchAll(data))
    for (const [, field, value] of body!.matchAll(/\.(\w+)\s*=(?!=)\s*([^,}\n]*)/g))
      if (!fields.has(field!)) fields.set(field!, { data: name!, value: value!.trim() });
  return fields;
}

function addedMembers({ before, after }: { before: string; after: string }): [string, string][] {
  const old = structuresOf(before);
  return [...structuresOf(after)].flatMap(([struct, members]) => {
    const then = old.get(struct);
    if (then === undefined) return [];
    return [...members.keys()]
      .filter((member) => !then.has(member))
      .map((member): [string, string] => [struct, member]);
  });
}

function storesNothing(text: string, member: string): boolean {
  return new RegExp(`(?:->|\\.)${member} = (?:0|false|NULL)$`).test(text);
}

/** True if the body has an object of the structure, so that objects do not live long. */
function isOnStack(struct: string, body: string): boolean {
  return new RegExp(`\\bstruct\\s+${struct}\\s+\\w+\\s*[;=,]`).test(body);
}

/** A bit that new code sets in one function and tests in another, under a name that the patch adds. */
function flags({ functions, files }: Change): Hazard[] {
  const existing = functions.filter(({ before, after }) => before !== undefined && after !== undefined);
  const names = new Set(files.flatMap(newConstants));
  const found: Hazard[] = [];
  for (const name of names) {
    const word = new RegExp(`\\b${name}\\b`);
    const setter = existing.find(({ added }) => added.some(({ text }) => word.test(text) && sets(text)));
    const tester = existing.find(
      (one) => one !== setter && one.added.some(({ text }) => word.test(text) && !sets(text)),
    );
    if (setter === undefined || tester === undefined) continue;
    const statement = tester.added.find(({ text }) => word.test(text));
    found.push(hazard(tester, statement, `${setter.name} now sets ${name}, and ${tester.name} now tests it`, name));
  }
  return found;
}

function sets(text: string): boolean {
  if (/^(?:if|while|return)\b/.test(text)) return false;
  return /\b(?:__)?(?:test_and_)?set_bit\s*\(/.test(text) || /->[\w.\->[\] ]*\|?=(?!=)/.test(text);
}

function newConstants({ before, after }: { before: string; after: string }): string[] {
  const known = (text: string): Set<string> =>
    new Set([
      ...[...text.matchAll(/^[ \t]*#[ \t]*define[ \t]+([A-Z]\w+)[ \t]+\S/gm)].map(([, name]) => name!),
      ...[...text.matchAll(/\benum\b[^{};()=]*\{([^}]*)\}/g)].flatMap(
        ([, body]) => body!.match(/\b[A-Z][A-Z0-9_]{2,}\b/g) ?? [],
      ),
    ]);
  const old = known(before);
  return [...known(after)].filter((name) => !old.has(name));
}

function usesMember(change: FunctionChange, member: string): boolean {
  return (
    statementWith(change, member) !== undefined &&
    !change.removed.some(({ text }) => new RegExp(`(?:->|\\.)${member}\\b`).test(text))
  );
}

function statementWith({ added }: FunctionChange, member: string): Statement | undefined {
  return added.find((statement) => {
    const { written, read } = membersOf(statement);
    return written.includes(member) || read.includes(member);
  });
}

function hazard(change: FunctionChange, statement: Statement | undefined, what: string, name: string): Hazard {
  return {
    kind: 'uninitialised',
    place: placeOf(change, statement),
    function: change.name,
    reason: `${what}: objects from before the load do not have it`,
    remedy: `treat an object without ${name} as before, or keep it in a shadow variable with a constructor`,
  };
}

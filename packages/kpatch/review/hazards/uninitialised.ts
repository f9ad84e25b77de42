/** A member that new code initialises in one function and uses in another: objects from before the load were never initialised so. */
import { type Change, callsOf, type FunctionChange, memberOf, membersOf, placeOf, type Statement } from '../change.ts';
import type { Hazard, HazardKind } from '../hazard.ts';

export const uninitialised: HazardKind = {
  kind: 'uninitialised',
  title: 'New code uses a lock, timer, list or flag that only new code initialises.',
  find: (change) => [...initialisers(change), ...flags(change)],
};

const initialiser =
  /^(?:spin_lock_init|raw_spin_lock_init|mutex_init|init_rwsem|rwlock_init|sema_init|init_completion|init_waitqueue_head|INIT_LIST_HEAD|INIT_HLIST_HEAD|INIT_(?:DELAYED_|DEFERRABLE_|RCU_)?WORK|timer_setup|hrtimer_(?:init|setup)|tasklet_(?:init|setup)|kref_init|refcount_set|init_srcu_struct|xa_init\w*|idr_init|ida_init|skb_queue_head_init|seqlock_init|seqcount_init|init_rcu_head|kthread_init_work|percpu_ref_init|bitmap_zero|atomic_set)$/;

function initialisers({ functions }: Change): Hazard[] {
  const existing = functions.filter(({ before, after }) => before !== undefined && after !== undefined);
  const found: Hazard[] = [];
  for (const maker of existing) {
    for (const call of callsOf(maker.added)) {
      const member = memberOf(call.arguments[0] ?? '');
      if (!initialiser.test(call.name) || member === undefined) continue;
      if (callsOf(maker.removed).some((one) => one.name === call.name && memberOf(one.arguments[0] ?? '') === member))
        continue;
      const user = existing.find((one) => one.name !== maker.name && usesMember(one, member));
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

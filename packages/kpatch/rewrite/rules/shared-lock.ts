/**
 * A new lock in a structure whose objects exist already: all objects share one lock. That excludes no less than a lock for each, as
 * long as nobody takes the locks of two objects. The lock is a shadow variable without an object, so that a patch that replaces this
 * one goes on with the same lock.
 */
import { sha256 } from '../../base/digest.ts';
import { blanked, type CFunction, callsIn, functionsIn } from '../../source/c-functions.ts';
import type { Draft, Rule } from '../draft.ts';
import { asPlaced, mergeInto, type StructureChange, structureChanges } from '../merged-structure.ts';
import { pointersTo } from '../zeroed-objects.ts';

interface LockKind {
  /** The function or macro that prepares a lock of the type. */
  readonly init: string;
  /** Calls that take one. */
  readonly takes: RegExp;
}

const kinds: Readonly<Record<string, LockKind>> = {
  'struct mutex': { init: 'mutex_init', takes: /^mutex_(?:lock|trylock)\w*$/ },
  spinlock_t: { init: 'spin_lock_init', takes: /^spin_(?:lock|trylock)\w*$/ },
  raw_spinlock_t: { init: 'raw_spin_lock_init', takes: /^raw_spin_(?:lock|trylock)\w*$/ },
  rwlock_t: { init: 'rwlock_init', takes: /^(?:read|write)_(?:lock|trylock)\w*$/ },
  'struct rw_semaphore': { init: 'init_rwsem', takes: /^down_(?:read|write)\w*$/ },
};
const gives =
  /^(?:mutex_(?:unlock|is_locked)|(?:raw_)?spin_unlock\w*|(?:read|write)_unlock\w*|up_(?:read|write)|lockdep_assert\w*|lockdep_is_held\w*|downgrade_write)$/;
const ends = /^(?:mutex_destroy|lockdep_set_class\w*)$/;

interface NewLock {
  readonly change: StructureChange;
  readonly member: string;
  readonly type: string;
  readonly kind: LockKind;
}

export const sharedLock: Rule = {
  name: 'shared-lock',
  applyAll(drafts: readonly Draft[]): void {
    for (const draft of drafts) {
      for (const lock of newLocks(draft)) {
        const originals = drafts.map(({ text }) => text);
        const problem = share(draft, lock, drafts);
        if (problem === undefined) continue;
        drafts.forEach((one, index) => {
          one.text = originals[index]!;
        });
        draft.unable('shared-lock', `${lock.change.name}.${lock.member}`, problem);
      }
    }
  },
};

/** New members that are locks, and that no rule has found a place for. */
function newLocks(draft: Draft): NewLock[] {
  return structureChanges(draft).flatMap((change) =>
    change.added.flatMap(({ text, names, isPlain }) => {
      const [member] = names;
      const type = text.slice(0, text.lastIndexOf(member ?? ' ')).trim();
      const kind = kinds[type];
      if (member === undefined || kind === undefined || !isPlain || names.length > 1) return [];
      if (draft.text.includes(`kpatch_padding_${member}[0]`)) return [];
      return [{ change, member, type, kind }];
    }),
  );
}

/** Rewrites the drafts; what it returns is why it could not. */
function share(home: Draft, lock: NewLock, drafts: readonly Draft[]): string | undefined {
  const { change, member, type, kind } = lock;
  const struct = change.name;
  const name = `kpatch_lock_${struct}_${member}`;
  const takers = new Set<string>();
  const users: Draft[] = [];
  for (const draft of drafts) {
    const used = rewriteUses(draft, lock, name, takers);
    if (typeof used === 'string') return used;
    if (used) users.push(draft);
  }
  const [first] = users;
  if (first === undefined || takers.size === 0) return 'no function of the patch takes it';
  const nested = nesting(drafts, takers);
  if (nested !== undefined) return nested;
  const now = structureChanges(home).find((one) => one.name === struct)!;
  mergeInto(
    home,
    now,
    asPlaced(now).filter(({ raw }) => !new RegExp(`\\b${member}\\s*;`).test(raw)),
  );
  const id = Number.parseInt(sha256(`${home.file} ${struct}.${member}`).slice(0, 7), 16) + 1;
  declare(home, first, { struct, member, type, name, id, init: kind.init });
  home.applied(
    'shared-lock',
    `${struct}.${member}`,
    `all objects share one lock, the shadow variable ${id}`,
    'nobody waits for the lock of one object while it holds that of another, and old code, which takes none, is gone when the transition is complete',
  );
  return undefined;
}

/** Replaces the uses in a file; true if there are some, a sentence if one is not understood. */
function rewriteUses(draft: Draft, lock: NewLock, name: string, takers: Set<string>): string | boolean {
  const { member, kind, change } = lock;
  const isFree = !new RegExp(`(?:->|\\.)\\s*${member}\\b`).test(blanked(draft.before));
  let found = false;
  for (const one of [...functionsIn(draft.text)].reverse()) {
    const uses = [...one.body.matchAll(new RegExp(`(?:->|\\.)\\s*${member}\\b`, 'g'))].length;
    if (uses === 0) continue;
    const own = pointersTo(one, change.name);
    let body = draft.text.slice(one.open, one.end);
    let known = 0;
    const bases = new Set<string>();
    for (const call of [...callsIn(one.body)].reverse()) {
      const given = call.arguments.find((text) => new RegExp(`^& ?[\\w>.\\-() ]*(?:->|\\.) ?${member}$`).test(text));
      if (given === undefined) continue;
      const base = given.replace(new RegExp(`^& ?\\(?|(?:->|\\.) ?${member}\\)?$`, 'g'), '').trim();
      if (!isFree && !own.includes(base)) continue;
      known++;
      found = true;
      const text = body.slice(call.at, call.end);
      const isStart = call.name === kind.init || ends.test(call.name);
      if (kind.takes.test(call.name)) {
        bases.add(base);
        takers.add(one.name);
      } else if (!isStart && !gives.test(call.name)) return `${one.name} uses it in ${call.name}, which is not known`;
      const changed = isStart
        ? 'do { } while (0)'
        : text.replace(new RegExp(`&\\s*[\\w>.\\-()\\s]*?(?:->|\\.)\\s*${member}\\b`), name);
      body = body.slice(0, call.at) + changed + body.slice(call.end);
    }
    if (bases.size > 1) return `${one.name} takes the locks of several objects (${[...bases].sort().join(', ')})`;
    if (known < uses && (isFree || own.length > 0)) return `${one.name} uses it in a way that is not read`;
    draft.replace(one.open, one.end, body);
  }
  return found;
}

/** Why a function may take the lock twice: it takes it and calls another one that does. */
function nesting(drafts: readonly Draft[], takers: ReadonlySet<string>): string | undefined {
  const all = new Map<string, CFunction>(
    drafts.flatMap(({ text }) => functionsIn(text).map((one) => [one.name, one] as const)),
  );
  const reach = new Set(takers);
  for (let size = 0; size !== reach.size; ) {
    size = reach.size;
    for (const [name, { body }] of all) if (callsIn(body).some((call) => reach.has(call.name))) reach.add(name);
  }
  for (const taker of takers) {
    const inner = callsIn(all.get(taker)?.body ?? '').find(({ name }) => reach.has(name));
    if (inner !== undefined) return `${taker} takes it and calls ${inner.name}, which takes it too`;
  }
  return undefined;
}

interface Declared {
  readonly struct: string;
  readonly member: string;
  readonly type: string;
  readonly name: string;
  readonly id: number;
  readonly init: string;
}

/** The pointer to the lock, and callbacks that make and free it. */
function declare(home: Draft, user: Draft, { struct, member, type, name, id, init }: Declared): void {
  const pointer = `${type} *${name}`;
  const linkage = home === user ? 'static ' : 'extern ';
  const at = blanked(home.text).search(new RegExp(`^struct\\s+${struct}\\s*\\{`, 'm'));
  const end = endOfStructure(blanked(home.text), at);
  home.replace(
    end,
    end,
    `\n\n/* ${member} of every struct ${struct}, added by kpatch rewrite. */\n${linkage}${pointer};`,
  );
  const definition = home === user ? '' : `\n${pointer};\n`;
  const make = `static int kpatch_make_${name}(void *object, void *lock, void *data)\n{\n\t${init}((${type} *)lock);\n\treturn 0;\n}\n`;
  user.text = `${user.text}${definition}\n${make}`;
  user.callback(
    'pre_patch',
    `${name} = klp_shadow_get_or_alloc(NULL, ${id}, sizeof(*${name}), GFP_KERNEL, kpatch_make_${name}, NULL);\n\tif (!${name})\n\t\treturn -ENOMEM;`,
  );
  user.callback('post_unpatch', `klp_shadow_free(NULL, ${id}, NULL);`);
}

function endOfStructure(quiet: string, from: number): number {
  let depth = 0;
  for (let at = quiet.indexOf('{', from); at < quiet.length; at++) {
    if (quiet[at] === '{') depth++;
    if (quiet[at] === '}' && --depth === 0) return quiet.indexOf(';', at) + 1;
  }
  return quiet.length;
}

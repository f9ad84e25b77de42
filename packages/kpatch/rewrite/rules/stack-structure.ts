/**
 * A structure of which all objects are on stacks changes its layout. A task runs either old or new versions of all replaced functions,
 * and switches only when none of them is on its stack, so an object that never leaves its task is never seen by both. A member without
 * a size tells the differ that the author means this.
 */
import { type CFunction, callsIn, functionsIn } from '../../source/c-functions.ts';
import type { Draft, Rule } from '../draft.ts';
import { onStacks, type StructureChange, structureChange, structureChanges, subjectOf } from '../merged-structure.ts';
import type { Declaration } from '../structure-text.ts';
import type { SourceText } from '../surroundings.ts';
import { containers, pointersTo } from '../zeroed-objects.ts';

export const stackStructure: Rule = {
  name: 'stack-structure',
  apply(draft: Draft): void {
    for (const { name } of structureChanges(draft)) {
      const change = structureChange(draft, name)!;
      if (change.added.length === 0 && change.removed.length === 0 && !change.isReordered && !change.isRetyped)
        continue;
      const members = change.added.flatMap(({ names }) => names);
      // Each member by its name, so that what other rules could not do is settled.
      const subjects = members.length === 0 ? [subjectOf(change)] : members.map((member) => `${name}.${member}`);
      const problem = obstacle(change, draft.surroundings.users(name));
      if (problem !== undefined) {
        // Members of other types often have the same layout (`const`, signs), which only the build can tell.
        const mayBeSame = members.length === 0 && change.removed.length === 0 && !change.isReordered;
        if (!mayBeSame) for (const subject of subjects) draft.unable('stack-structure', subject, problem);
        continue;
      }
      const last = change.after.declarations.at(-1)!;
      draft.replace(last.end, last.end, `\n\tchar ${onStacks}[0];`);
      for (const subject of subjects)
        draft.applied(
          'stack-structure',
          subject,
          `all objects of struct ${name} are on stacks, so that no object from before the load meets new code`,
          'no object is handed to another task, an interrupt or hardware',
        );
    }
  },
};

/** Members by which something else than the functions on the stack can find an object. */
const linked =
  /\b(?:\w*_head|\w*_node|mutex_waiter|work_struct|delayed_work|timer_list|hrtimer|completion|wait_queue_\w+|kref|refcount_t|kobject|device|tasklet_struct|notifier_block)\b(?!\s*\*)/;

/** A declaration without the names of its members, which may be like those of types. */
function typeOf({ text, names, isPlain }: Declaration): string {
  if (!isPlain) return text;
  return names.reduce((rest, name) => rest.replace(new RegExp(`\\b${name}\\b(?=\\s*(?:[[,:]|$))`), ''), text);
}

function obstacle({ name, before, after }: StructureChange, users: readonly SourceText[]): string | undefined {
  const member = [...before.declarations, ...after.declarations].find((one) => linked.test(typeOf(one)));
  if (member !== undefined) return `"${member.text}" can make an object of struct ${name} known to other tasks`;
  const [outer] = containers(name, users);
  if (outer !== undefined) return `struct ${outer} contains an object of struct ${name}`;
  let isOnStack = false;
  for (const { file, text } of users) {
    if (!new RegExp(`\\b${name}\\b`).test(text)) continue;
    // One outside of functions would be there before the load.
    if (
      new RegExp(
        `^(?:static\\s+)?(?:const\\s+)?struct\\s+${name}\\s+\\w+\\s*[;=\\[]|\\bDEFINE_PER_CPU\\w*\\s*\\(\\s*struct\\s+${name}\\b`,
        'm',
      ).test(text)
    )
      return `an object of struct ${name} is static in ${file}`;
    for (const one of functionsIn(text)) {
      const problem = leaves(one, name) ?? handed(one, name, users);
      if (problem !== undefined) return `${problem} in ${one.name} (${file})`;
      isOnStack ||= declared(one, name).length > 0;
    }
  }
  return isOnStack ? undefined : `no object of struct ${name} is on a stack`;
}

/** Objects of the structure that the function has on its stack. */
function declared(one: CFunction, struct: string): string[] {
  const found = one.body.matchAll(
    new RegExp(`(?<!\\bstatic\\s)\\bstruct\\s+${struct}\\s+(\\w+)\\s*(?:\\[[^\\]]*\\]\\s*)?[;=,]`, 'g'),
  );
  return [...found].map(([, name]) => name!);
}

/** How an object may come from elsewhere than a stack, or be known longer than the function runs. */
function leaves(one: CFunction, struct: string): string | undefined {
  if (!one.body.includes(struct) && !one.head.includes(struct)) return undefined;
  if (new RegExp(`\\bstatic\\s+(?:const\\s+)?struct\\s+${struct}\\s+\\w+\\s*[;=,\\[]`).test(one.body))
    return `an object of struct ${struct} is static`;
  const pointers = pointersTo(one, struct);
  for (const { name, arguments: given, at } of callsIn(one.body)) {
    const isSize = given.some((text) => new RegExp(`sizeof ?\\( ?struct ${struct} ?\\)`).test(text));
    if (isSize && /alloc|memdup|create|register|new/.test(name)) return `${name} makes an object of struct ${struct}`;
    const target = /(\w+)\s*=\s*(?:\([^()]*\)\s*)?$/.exec(one.body.slice(0, at))?.[1];
    if (target !== undefined && pointers.includes(target)) {
      // What a function returns can be from anywhere; container_of of a linked member was excluded before.
      return `${name} gives an object of struct ${struct}`;
    }
  }
  const own = [...pointers, ...declared(one, struct).map((name) => `&\\s*${name}`)];
  for (const name of own) {
    const assigned = new RegExp(`([\\w.>*\\]-]+)\\s*=\\s*(?:\\([^()]*\\)\\s*)?${name}\\s*[;,}]`, 'g');
    for (const [, target] of one.body.matchAll(assigned))
      if (!pointers.includes(target!)) return `a pointer to an object of struct ${struct} is kept`;
  }
  return undefined;
}

/** They read or write the bytes of an object while they run, and keep nothing. */
const harmless =
  /^(?:memset|memcpy|memmove|memcmp|memchr_inv|memzero_explicit|\w*copy_(?:from|to)_\w*|struct_group\w*|sizeof|typeof|likely|unlikely|IS_ERR\w*|PTR_ERR\w*|(?:WARN|BUG)_ON\w*|READ_ONCE|WRITE_ONCE)$/;

/** They call back in the same task before they return: iterators, and what fills a folder of /proc. */
const callsBack = /^(?:\w*for_each\w*|iterate_\w+|walk_\w+|proc_fill_cache)$/;

/**
 * How an object may reach another task or an interrupt: only a function that takes a pointer to this structure is known to use it on
 * this stack. One that takes any pointer may give it to a callback that runs elsewhere (`on_each_cpu`, `stop_machine`, `kthread_run`).
 */
function handed(one: CFunction, struct: string, users: readonly SourceText[]): string | undefined {
  const own = [...pointersTo(one, struct), ...declared(one, struct).map((name) => `&${name}`)];
  for (const { name, arguments: given } of callsIn(one.body)) {
    if (harmless.test(name) || callsBack.test(name)) continue;
    const passed = given.some((text) => own.includes(text.replace(/^\([^()]*\)\s*/, '').replace(/\s+/g, '')));
    if (!passed) continue;
    if (!users.some(({ text }) => knows(text, name, struct)))
      return `${name} may give an object of struct ${struct} to another task`;
  }
  return undefined;
}

/** True if the text declares that function or member with a pointer to the structure, or defines it and the body has such a pointer. */
function knows(text: string, name: string, struct: string): boolean {
  const declared = new RegExp(`\\b${name}\\s*\\)?\\s*\\([^;{}]*?\\bstruct\\s+${struct}\\s*(?:const\\s*)?\\*`);
  if (declared.test(text)) return true;
  return functionsIn(text).some((one) => one.names.includes(name) && pointersTo(one, struct).length > 0);
}

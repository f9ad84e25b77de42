/** A pointer in a constant table leads to another function: the table stays, and the old function calls the new one. */
import { blanked, type CFunction, functionNamed } from '../../source/c-functions.ts';
import { type Draft, isCalled, type Rule } from '../draft.ts';

interface Entry {
  readonly table: string;
  readonly field: string;
  readonly target: string;
  readonly start: number;
  readonly end: number;
}

export const operations: Rule = {
  name: 'operations',
  apply(draft: Draft): void {
    const before = entriesOf(draft.before);
    let current = byPlace(entriesOf(draft.text));
    for (const was of before) {
      const now = current.get(placeOf(was));
      if (now === undefined || now.target === was.target) continue;
      const problem = obstacle(draft, was, before, current);
      if (problem !== undefined) draft.refused('operations', placeOf(was), problem);
      else {
        redirect(draft, was, now);
        current = byPlace(entriesOf(draft.text));
      }
    }
    const known = new Set(before.map(({ table, field }) => `${table}.${field}`));
    const tables = new Set(before.map(({ table }) => table));
    for (const { table, field } of entriesOf(draft.text))
      if (tables.has(table) && !known.has(`${table}.${field}`))
        draft.refused(
          'operations',
          `${table}.${field}`,
          'the table had no function there, and readers tested for NULL',
        );
  },
};

/** Names the place of a pointer: table and field. */
function placeOf({ table, field }: Entry): string {
  return `${table}.${field}`;
}

function byPlace(entries: readonly Entry[]): Map<string, Entry> {
  return new Map(entries.map((one) => [placeOf(one), one]));
}

/** Why the old function cannot stand for the new one. */
function obstacle(
  draft: Draft,
  was: Entry,
  before: readonly Entry[],
  current: ReadonlyMap<string, Entry>,
): string | undefined {
  const old = functionNamed(draft.before, was.target);
  if (old === undefined) return `${was.target} is not defined in this file`;
  if (!/\bstatic\b/.test(old.head)) return `${was.target} is not static, so other files may call it`;
  const uses = before.filter((one) => one.target === was.target);
  const changed = uses.every((one) => {
    const now = current.get(placeOf(one));
    return now !== undefined && now.target !== was.target;
  });
  if (!changed) return `other tables use ${was.target} too`;
  const mentions = (text: string): number =>
    [...blanked(text).matchAll(new RegExp(`\\b${was.target}\\b(?!\\s*\\()`, 'g'))].length;
  if (mentions(draft.before) > uses.length || mentions(draft.text) > 0)
    return `the address of ${was.target} is also used elsewhere`;
  return undefined;
}

/** Gives the function another name in new code, because its own name is taken by what the table leads to. */
function renameCalled(draft: Draft, name: string): string {
  const own = `kpatch_own_${name}`;
  for (const { index } of [...blanked(draft.text).matchAll(new RegExp(`\\b${name}\\b(?=\\s*\\()`, 'g'))].reverse())
    draft.replace(index, index + name.length, own);
  return own;
}

/** Restores the entry, and makes the old function call the new one. */
function redirect(draft: Draft, was: Entry, now: Entry): void {
  draft.replace(now.start, now.end, was.target);
  // Functions that call the old one by its name still mean it.
  const own = isCalled(draft.functions, was.target) ? renameCalled(draft, was.target) : undefined;
  const old = functionNamed(draft.before, was.target)!;
  const given = old.parameters.map(({ name }) => name).join(', ');
  const isVoid = /\bvoid\s*$/.test(old.head.slice(0, old.head.indexOf(old.name)));
  // Without the barrier the call would be a jump. A task in the new function would then have nothing of the patch's old
  // function on its stack, and the patch could go while the task still runs in it.
  const call = `${now.target}(${given})`;
  const body = isVoid
    ? `{\n\t${call};\n\tbarrier();\n}`
    : `{\n\ttypeof(${call}) result = ${call};\n\n\tbarrier();\n\treturn result;\n}`;
  const head = draft.before.slice(old.start, old.open);
  const present = functionNamed(draft.text, was.target);
  const target = functionNamed(draft.text, now.target);
  if (present !== undefined && (target === undefined || target.end <= present.start))
    draft.replace(present.open, present.end, body);
  else {
    if (present !== undefined) draft.replace(present.start, present.end, '');
    const place = placeBefore(draft, was, functionNamed(draft.text, now.target));
    draft.replace(place, place, `${head}${body}\n\n`);
  }
  draft.applied(
    'operations',
    `${was.table}.${was.field}`,
    `the table keeps ${was.target}, which now calls ${now.target}${own === undefined ? '' : `; what calls it by its name calls ${own}`}`,
    `nothing compares the pointer with ${was.target} or ${now.target}`,
  );
}

/** In front of the definition of the table, which is after the new function. */
function placeBefore(draft: Draft, { table }: Entry, target: CFunction | undefined): number {
  const at = blanked(draft.text).search(new RegExp(`^[^\\n;{}]*\\b${table}\\s*(?:\\[[^\\]]*\\])?\\s*=\\s*\\{`, 'm'));
  return at < 0 ? (target?.end ?? draft.text.length) : at;
}

/** The function pointers in constant tables: `.field = name` with a plain name. */
function entriesOf(text: string): Entry[] {
  const quiet = blanked(text);
  const entries: Entry[] = [];
  for (const table of quiet.matchAll(
    /^(?:static[ \t]+)?const[ \t]+struct[ \t]+\w+[ \t]+(\w+)(?:[ \t]+__\w+)*[ \t]*=[ \t]*\{/gm,
  )) {
    const from = table.index + table[0].length;
    const to = quiet.indexOf('};', from);
    for (const match of quiet.slice(from, to).matchAll(/\.(\w+)\s*=\s*([a-z_]\w*)\s*(?=[,}\n]|$)/g)) {
      if (/^(?:true|false)$/.test(match[2]!)) continue;
      const start = from + match.index + match[0].indexOf(match[2]!, match[0].indexOf('='));
      entries.push({ table: table[1]!, field: match[1]!, target: match[2]!, start, end: start + match[2]!.length });
    }
  }
  return entries;
}

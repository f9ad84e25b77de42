/** The definition of a structure that keeps the layout from before the patch: its old members in their old order. */
import type { Draft } from './draft.ts';
import { type Declaration, type StructureText, structuresIn } from './structure-text.ts';
import type { Surroundings } from './surroundings.ts';

export interface StructureChange {
  readonly name: string;
  readonly before: StructureText;
  readonly after: StructureText;
  /** Declarations whose members are all new. */
  readonly added: readonly Declaration[];
  /** Declarations whose members are all gone. */
  readonly removed: readonly Declaration[];
  /** True if members that both versions have are in another order. */
  readonly isReordered: boolean;
  /** True if a member that both versions have is declared in another way, not counting `const`. */
  readonly isRetyped: boolean;
}

/** The member without a size by which the rule `stack-structure` tells the differ that all objects are on stacks. */
export const onStacks = 'kpatch_on_stacks';

/** Structures of the file that have other declarations after the patch, and whose layout matters. */
export function structureChanges(draft: Draft): StructureChange[] {
  const now = structuresIn(draft.text);
  return [...structuresIn(draft.before)].flatMap(([name, before]) => {
    const after = now.get(name);
    if (after === undefined || isOnStacks(after)) return [];
    const listed = ({ declarations }: StructureText): string => declarations.map(({ text }) => text).join(';');
    if (listed(before) === listed(after)) return [];
    const has = (where: StructureText, one: Declaration): boolean =>
      where.declarations.some((other) => other.names.some((member) => one.names.includes(member)));
    const added = after.declarations.filter((one) => !has(before, one));
    const removed = before.declarations.filter((one) => !has(after, one));
    const order = (list: readonly Declaration[]): string => list.map(({ names }) => names[0]).join(' ');
    const isReordered =
      order(before.declarations.filter((one) => has(after, one))) !==
      order(after.declarations.filter((one) => has(before, one)));
    const bare = (list: readonly Declaration[]): Set<string> =>
      new Set(list.map(({ text }) => text.replace(/\bconst /g, '')));
    const known = bare(before.declarations);
    const kept = bare(after.declarations.filter((one) => !added.includes(one)));
    const isRetyped = [...kept].some((text) => !known.has(text));
    return [{ name, before, after, added, removed, isReordered, isRetyped }];
  });
}

/** The change of one structure as the draft is now: a rule that worked on another structure of the file has moved its places. */
export function structureChange(draft: Draft, name: string): StructureChange | undefined {
  return structureChanges(draft).find((one) => one.name === name);
}

/** What notes call a change that adds no member, so that a rule that settles it is known to the others. */
export function subjectOf({ name, removed }: StructureChange): string {
  const members = removed.flatMap(({ names }) => names);
  return members.length === 0 ? `struct ${name}` : `struct ${name}: ${members.join(', ')}`;
}

/** True if the definition says that all objects are on stacks. */
export function isOnStacks({ declarations }: StructureText): boolean {
  return declarations.some(({ names }) => names.includes(onStacks));
}

/** A line to put behind a declaration of the old version; behind none it becomes the first. */
export interface Insertion {
  readonly behind: Declaration | undefined;
  readonly raw: string;
}

/** Writes the old declarations, as the new version has them where it does, with the insertions, into the draft. */
export function mergeInto(draft: Draft, change: StructureChange, insertions: readonly Insertion[]): void {
  const { before, after } = change;
  let body = draft.before.slice(before.start, before.end);
  for (const one of [...before.declarations].reverse()) {
    const now = after.declarations.find((other) => other.names.join() === one.names.join());
    const from = one.start - before.start;
    const to = one.end - before.start;
    const more = insertions.filter(({ behind }) => behind === one).map(({ raw }) => `\n\t${raw}`);
    // A comment on the line of the declaration belongs to it.
    const comment = /^[ \t]*\/\*(?:[^*]|\*(?!\/))*\*\//.exec(body.slice(to))?.[0] ?? '';
    body = body.slice(0, from) + (now?.raw ?? one.raw) + comment + more.join('') + body.slice(to + comment.length);
  }
  const first = insertions.filter(({ behind }) => behind === undefined).map(({ raw }) => `\n\t${raw}`);
  draft.replace(after.start, after.end, first.join('') + body);
}

/** Where the new version has its new declarations, in terms of the old one. */
export function asPlaced(change: StructureChange): Insertion[] {
  const { before, after, added } = change;
  let behind: Declaration | undefined;
  const insertions: Insertion[] = [];
  for (const one of after.declarations) {
    if (added.includes(one)) insertions.push({ behind, raw: one.raw });
    else behind = before.declarations.find(({ names }) => names.some((name) => one.names.includes(name))) ?? behind;
  }
  return insertions;
}

const sizes: Readonly<Record<string, number>> = {
  bool: 1,
  char: 1,
  u8: 1,
  s8: 1,
  __u8: 1,
  __s8: 1,
  uint8_t: 1,
  int8_t: 1,
  u16: 2,
  s16: 2,
  __u16: 2,
  __s16: 2,
  __le16: 2,
  __be16: 2,
  uint16_t: 2,
  int16_t: 2,
  short: 2,
  int: 4,
  unsigned: 4,
  u32: 4,
  s32: 4,
  __u32: 4,
  __s32: 4,
  __le32: 4,
  __be32: 4,
  uint32_t: 4,
  int32_t: 4,
  gfp_t: 4,
  pid_t: 4,
  long: 8,
  u64: 8,
  s64: 8,
  __u64: 8,
  __s64: 8,
  __le64: 8,
  __be64: 8,
  uint64_t: 8,
  int64_t: 8,
  size_t: 8,
  ssize_t: 8,
  loff_t: 8,
  ktime_t: 8,
  dma_addr_t: 8,
};
/** Other types of which an object of zeros is a valid one: numbers without an owner, locks that nobody holds, empty lists. */
const zeros =
  /^(?:enum \w+|atomic_t|atomic64_t|atomic_long_t|spinlock_t|raw_spinlock_t|rwlock_t|seqcount_t|struct (?:hlist_head|llist_head|rb_root))$/;

export interface MemberSize {
  readonly size: number;
  readonly align: number;
}

/** The size of a plain member whose type is valid as zeros; undefined for all others. */
export function zeroMember({ isPlain, names, text }: Declaration, surroundings: Surroundings): MemberSize | undefined {
  const [name] = names;
  if (!isPlain || name === undefined || names.length > 1 || text.includes(':')) return undefined;
  const array = /\[ ?(\d+) ?\]$/.exec(text)?.[1];
  if (text.includes('[') && (array === undefined || text.split('[').length > 2)) return undefined;
  const count = array === undefined ? 1 : Number(array);
  const type = text
    .slice(0, text.lastIndexOf(name))
    .replace(/\b(?:const|volatile|signed|__rcu|__user|__iomem)\b/g, '')
    .replace(/\s+/g, ' ')
    .trim();
  if (/\*$/.test(type) || /\( ?\* ?\w+ ?\) ?\(/.test(text)) return { size: 8 * count, align: 8 };
  const number = type.replace(/\bunsigned (?=\w)/, '').replace(/^(long|short)(?: long)?(?: int)?$/, '$1');
  const size =
    sizes[number] ?? surroundings.numberSize(type) ?? (zeros.test(type) ? surroundings.sizeOf(type) : undefined);
  return size === undefined || size === 0 ? undefined : { size: size * count, align: alignOf(type, size) };
}

function alignOf(type: string, size: number): number {
  // Made of words of four bytes.
  return type === 'rwlock_t' ? 4 : Math.min(size, 8);
}

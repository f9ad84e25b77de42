/**
 * Structures whose layout a patch changes. Objects of them that exist already were made, and are used by code that stays,
 * with the old layout; new code would read and write beside it. Debug information of both versions shows it.
 */
import { isAggregate, sizeOfType } from '../../formats/dwarf/sizes.ts';
import { type DwarfMember, type DwarfType, type DwarfTypes, TAG } from '../../formats/dwarf/type-record.ts';
import { readDwarfTypes } from '../../formats/dwarf/types.ts';
import type { ElfFile } from '../../formats/elf/file.ts';

export interface LayoutChange {
  /** Like `struct inode`; of an unnamed one the name that a typedef gives it. */
  readonly name: string;
  /** What is different, one sentence without a full stop. */
  readonly text: string;
}

/** The structures and unions of both objects whose layout differs; empty if debug information is missing. */
export function changedLayouts(original: ElfFile, patched: ElfFile): LayoutChange[] {
  if (sameDebugInformation(original, patched)) return [];
  const before = readDwarfTypes(original);
  const after = readDwarfTypes(patched);
  if (before === undefined || after === undefined) return [];
  const old = layoutsOf(before);
  const changes: LayoutChange[] = [];
  for (const [name, layout] of layoutsOf(after)) {
    const earlier = old.get(name);
    const text = earlier === undefined ? undefined : difference(earlier, layout);
    if (text !== undefined) changes.push({ name, text });
  }
  return changes;
}

/** The sections that types are read from, with their relocations. */
const debugSections = [
  '.debug_info',
  '.debug_abbrev',
  '.debug_str',
  '.debug_line_str',
  '.debug_str_offsets',
  '.debug_addr',
];

/** True if both files have the same debug information of types to the byte: then nothing has to be read. */
function sameDebugInformation(original: ElfFile, patched: ElfFile): boolean {
  const names = debugSections.flatMap((name) => [name, `.rela${name}`]);
  return names.every((name) => {
    const [one, other] = [original.section(name), patched.section(name)];
    if (one === undefined || other === undefined) return one === other;
    // Compressed sections and relocations by other symbols would need a closer look.
    return one.flags === other.flags && Buffer.compare(original.data(one), patched.data(other)) === 0;
  });
}

/** Bytes of each structure by its name, where debug information tells; one that has two sizes is not listed. */
export function structSizes(object: ElfFile): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  const types = readDwarfTypes(object);
  if (types === undefined) return sizes;
  const doubtful = new Set<string>();
  for (const { tag, name, declaration, size } of types.types.values()) {
    if (tag !== TAG.structure || name === undefined || declaration || size === undefined) continue;
    if (sizes.has(name) && sizes.get(name) !== size) doubtful.add(name);
    sizes.set(name, size);
  }
  for (const name of doubtful) sizes.delete(name);
  return sizes;
}

interface Field {
  readonly bitOffset: number;
  readonly bitSize: number;
}

interface Layout {
  readonly types: DwarfTypes;
  readonly type: DwarfType;
  readonly size: number;
}

function layoutsOf(types: DwarfTypes): Map<string, Layout> {
  const layouts = new Map<string, Layout>();
  const doubtful = new Set<string>();
  const add = (name: string, type: DwarfType): void => {
    if (layouts.has(name)) {
      doubtful.add(name); // two with the same name (in different functions or files): nothing can be said
      return;
    }
    layouts.set(name, { types, type, size: type.size ?? 0 });
  };
  for (const type of types.types.values()) {
    if (isAggregate(type) && type.name !== undefined && !type.declaration) {
      add(`${type.tag === TAG.union ? 'union' : 'struct'} ${type.name}`, type);
    } else if (type.tag === TAG.typedef && type.name !== undefined && type.type !== undefined) {
      const target = types.types.get(type.type);
      if (target !== undefined && isAggregate(target) && target.name === undefined) add(type.name, target);
    }
  }
  for (const name of doubtful) layouts.delete(name);
  return layouts;
}

/** All members by name; those of unnamed structures and unions inside are members of the whole. */
function fieldsOf(types: DwarfTypes, type: DwarfType): Map<string, Field> {
  const fields = new Map<string, Field>();
  const collect = (members: readonly DwarfMember[], base: number, depth: number): void => {
    for (const { name, bitOffset, bitSize, type: key } of members) {
      const start = base + bitOffset;
      const inner = key === undefined ? undefined : types.types.get(key);
      if (name !== undefined) fields.set(name, { bitOffset: start, bitSize: bitSize ?? 8 * sizeOfType(types, key) });
      else if (inner !== undefined && isAggregate(inner) && depth < 16) collect(inner.members, start, depth + 1);
    }
  };
  collect(type.members, 0, 0);
  return fields;
}

function difference(before: Layout, after: Layout): string | undefined {
  if (before.size === after.size && sameMembers(before.types, before.type.members, after.types, after.type.members, 0))
    return undefined;
  const [beforeFields, afterFields] = [fieldsOf(before.types, before.type), fieldsOf(after.types, after.type)];
  if (afterFields.has(onStacks)) return undefined;
  if (before.size !== after.size) return `its size changes from ${before.size} to ${after.size} bytes`;
  for (const [name, now] of afterFields) {
    const then = beforeFields.get(name);
    if (then === undefined) {
      if (isPadding(name) || afterFields.has(`${padding}${name}`)) continue;
      // A new name for the same place (a reserved member that gets a meaning, a renamed one) is no other layout.
      const covered = [...beforeFields.values()].some((field) => covers(field, now));
      if (!covered) return `the member ${name} at ${place(now)} is new`;
    } else if (then.bitOffset !== now.bitOffset) return `the member ${name} moves from ${place(then)} to ${place(now)}`;
    else if (then.bitSize !== now.bitSize) {
      return `the member ${name} changes from ${then.bitSize / 8} to ${now.bitSize / 8} bytes`;
    }
  }
  return undefined;
}

/** True if two lists have the same members in the same order: the usual case, seen without making fields of them. */
function sameMembers(
  before: DwarfTypes,
  left: readonly DwarfMember[],
  after: DwarfTypes,
  right: readonly DwarfMember[],
  depth: number,
): boolean {
  if (left.length !== right.length || depth > 16) return false;
  return left.every((one, index) => {
    const other = right[index]!;
    if (one.name !== other.name || one.bitOffset !== other.bitOffset || one.bitSize !== other.bitSize) return false;
    if (one.name !== undefined)
      return one.bitSize !== undefined || sizeOfType(before, one.type) === sizeOfType(after, other.type);
    const [inner, otherInner] = [typeOf(before, one), typeOf(after, other)];
    if (inner === undefined || otherInner === undefined) return inner === otherInner;
    if (!isAggregate(inner) || !isAggregate(otherInner)) return !isAggregate(inner) && !isAggregate(otherInner);
    return sameMembers(before, inner.members, after, otherInner.members, depth + 1);
  });
}

function typeOf(types: DwarfTypes, { type }: DwarfMember): DwarfType | undefined {
  return type === undefined ? undefined : types.types.get(type);
}

/**
 * An author says by a member `kpatch_padding_NAME` without a size that NAME lies in padding of the structure on purpose
 * (docs/rewrite.md). Sizes and places of all others are compared all the same.
 */
const padding = 'kpatch_padding_';

function isPadding(name: string): boolean {
  return name.startsWith(padding);
}

/** Another one says that all objects are on stacks, so that the layout may change. */
const onStacks = 'kpatch_on_stacks';

/** What an author says of changed structures by such members, a sentence each, in the order of the structures. */
export function authorsWords(original: ElfFile, patched: ElfFile): string[] {
  if (sameDebugInformation(original, patched)) return [];
  const [before, after] = [readDwarfTypes(original), readDwarfTypes(patched)];
  if (before === undefined || after === undefined) return [];
  const old = layoutsOf(before);
  return [...layoutsOf(after)].flatMap(([name, { types, type }]) => {
    const earlier = old.get(name);
    if (earlier === undefined) return [];
    const known = fieldsOf(earlier.types, earlier.type);
    return [...fieldsOf(types, type).keys()].flatMap((field) => {
      if (known.has(field)) return [];
      if (field === onStacks)
        return [`the layout of ${name} changes; all its objects are on stacks, as the patch says`];
      if (!isPadding(field)) return [];
      return [`${name}.${field.slice(padding.length)} lies in padding of the structure, as the patch says`];
    });
  });
}

function covers(outer: Field, inner: Field): boolean {
  return outer.bitOffset <= inner.bitOffset && outer.bitOffset + outer.bitSize >= inner.bitOffset + inner.bitSize;
}

function place({ bitOffset }: Field): string {
  return bitOffset % 8 === 0 ? `byte ${bitOffset / 8}` : `bit ${bitOffset}`;
}

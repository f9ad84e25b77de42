/**
 * `.BTF_ids` (include/linux/btf_ids.h, since 5.7): lists and sets of numbers of BTF types. Objects hold zeros; when the kernel or a
 * module is linked, resolve_btfids writes the numbers by the names of the symbols. So two versions are compared by these
 * names, and by the bytes, which hold the flags of sets with flags.
 */
import { sizeOf } from '../../../formats/elf/object.ts';
import type { Part } from '../part.ts';

/** `__BTF_ID__KIND__NAME__N`, where N is a counter, since 5.17 followed by the line. */
const entry = /^(__BTF_ID__.+?__)\d+$/;

/** True for the symbol of an entry, or of the head of a set, in contrast to the name of the list. */
export function isBtfId(name: string): boolean {
  return name.startsWith('__BTF_ID__');
}

export interface BtfId {
  /** Bytes from the start of the list. */
  readonly offset: number;
  /** `func vfs_read` without the counter; `set8 NAME` for the head of a set. */
  readonly name: string;
}

/** The entries of a list or set, in the order of the section. */
export function btfIdsOf({ symbols, start }: Part): BtfId[] {
  const ids = symbols.filter(({ name }) => isBtfId(name));
  return ids
    .map(({ name, value }) => ({ offset: value - start, name: nameOf(name) }))
    .sort((a, b) => a.offset - b.offset || (a.name < b.name ? -1 : 1));
}

function nameOf(symbol: string): string {
  const base = entry.exec(symbol)?.[1] ?? symbol;
  return base.slice('__BTF_ID__'.length).replace(/__$/, '').replace('__', ' ');
}

/** What differs between two versions of a list, as a phrase, or undefined. The kernel sorts sets, so their order is free. */
export function btfDifference(a: Part, b: Part): string | undefined {
  const [left, right] = [keysOf(a), keysOf(b)];
  const inSet = btfIdsOf(b).some(({ name }) => /^set8? /.test(name));
  const fresh = right.find((one) => count(right, one) > count(left, one));
  if (fresh !== undefined) return `${fresh.name} is new in ${b.name}`;
  const gone = left.find((one) => count(left, one) > count(right, one));
  if (gone !== undefined) return `${gone.name} is gone from ${b.name}`;
  if (inSet) return undefined;
  if (left.length !== right.length || a.end - a.start !== b.end - b.start) return `${b.name} has another size`;
  return left.some((one, index) => one.key !== right[index]!.key) ? `${b.name} has another order` : undefined;
}

interface Keyed {
  readonly name: string;
  readonly key: string;
}

/** Each entry with its bytes: the number, which is zero, and in sets with flags those. */
function keysOf(part: Part): Keyed[] {
  const ids = btfIdsOf(part);
  const { data } = part.section;
  return ids.map(({ name, offset }, index) => {
    const end = ids[index + 1]?.offset ?? Math.min(part.end, sizeOf(part.section)) - part.start;
    const bytes = data.subarray(part.start + offset, part.start + end);
    return { name, key: `${name} ${Buffer.from(bytes).toString('hex')}` };
  });
}

function count(list: readonly Keyed[], { key }: Keyed): number {
  return list.filter((one) => one.key === key).length;
}

/** Lists that the kernel reads once (`_kprobe_blacklist`, `__param`, ...), entry by entry. */
import type { Part } from '../part.ts';

/** The entries as parts; the whole list as one where its relocations show no period. */
export function listEntries(list: Part): readonly Part[] {
  const size = periodOf(list);
  const entries: Part[] = [];
  for (let start = list.start; start < list.end; start += size) entries.push({ ...list, start, end: start + size });
  return entries;
}

/** The smallest size at which all entries have relocations of the same types at the same places. */
function periodOf(list: Part): number {
  const relocations = list.model.relocationsOfPart(list);
  const length = list.end - list.start;
  for (let count = 1; count < relocations.length; count++) {
    const size = relocations[count]!.offset - relocations[0]!.offset;
    if (size === 0 || relocations.length % count !== 0 || size * (relocations.length / count) !== length) continue;
    const periodic = relocations.every(({ offset, type }, index) => {
      const before = relocations[index - count];
      return before === undefined || (before.offset + size === offset && before.type === type);
    });
    if (periodic) return size;
  }
  return Math.max(1, length);
}

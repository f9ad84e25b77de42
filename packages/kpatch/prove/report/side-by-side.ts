/** Aligns two lists of lines so that equal lines face each other (longest common subsequence). */
export interface Row {
  readonly left: string | undefined;
  readonly right: string | undefined;
  readonly same: boolean;
}

/** The comparison table has left × right cells; above this limit the lists are paired line by line. */
const LIMIT = 4_000_000;

export function sideBySide(left: readonly string[], right: readonly string[]): Row[] {
  let head = 0;
  while (head < left.length && head < right.length && left[head] === right[head]) head++;
  let tail = 0;
  while (tail < left.length - head && tail < right.length - head && left.at(-1 - tail) === right.at(-1 - tail)) tail++;
  const same = (lines: readonly string[]): Row[] => lines.map((line) => ({ left: line, right: line, same: true }));
  const middle = compare(left.slice(head, left.length - tail), right.slice(head, right.length - tail));
  return [...same(left.slice(0, head)), ...middle, ...same(left.slice(left.length - tail))];
}

function compare(left: readonly string[], right: readonly string[]): Row[] {
  const rows: Row[] = [];
  if (left.length * right.length > LIMIT) {
    for (let at = 0; at < Math.max(left.length, right.length); at++) {
      rows.push({ left: left[at], right: right[at], same: left[at] === right[at] });
    }
    return rows;
  }
  const width = right.length + 1;
  const lengths = new Uint32Array((left.length + 1) * width);
  for (let i = left.length - 1; i >= 0; i--) {
    for (let j = right.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        left[i] === right[j]
          ? lengths[(i + 1) * width + j + 1]! + 1
          : Math.max(lengths[(i + 1) * width + j]!, lengths[i * width + j + 1]!);
    }
  }
  let i = 0;
  let j = 0;
  const pending: { left: string[]; right: string[] } = { left: [], right: [] };
  const flush = (): void => {
    for (let at = 0; at < Math.max(pending.left.length, pending.right.length); at++) {
      rows.push({ left: pending.left[at], right: pending.right[at], same: false });
    }
    pending.left = [];
    pending.right = [];
  };
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i] === right[j]) {
      flush();
      rows.push({ left: left[i++], right: right[j++], same: true });
    } else if (j >= right.length || (i < left.length && lengths[(i + 1) * width + j]! >= lengths[i * width + j + 1]!)) {
      pending.left.push(left[i++]!);
    } else pending.right.push(right[j++]!);
  }
  flush();
  return rows;
}

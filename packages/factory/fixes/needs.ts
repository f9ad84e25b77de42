/** Changes that need others, in an order in which each comes after what it needs. */

/**
 * Joins nodes that need each other, directly or through others (Tarjan's strongly connected components). `needs[n]` are the nodes that n
 * needs. Returns the sets of nodes; every set comes after those that its nodes need.
 */
export function inOrder(needs: readonly ReadonlySet<number>[]): number[][] {
  const index = new Map<number, number>();
  const low = new Map<number, number>();
  const open: number[] = [];
  const isOpen = new Set<number>();
  const sets: number[][] = [];
  for (const start of needs.keys()) {
    if (index.has(start)) continue;
    // Without recursion: a chain of changes may be longer than the stack.
    const work: { node: number; rest: number[] }[] = [];
    const enter = (node: number): void => {
      index.set(node, index.size);
      low.set(node, index.get(node)!);
      open.push(node);
      isOpen.add(node);
      work.push({ node, rest: [...needs[node]!] });
    };
    enter(start);
    for (let top = work.at(-1); top !== undefined; top = work.at(-1)) {
      const next = top.rest.pop();
      if (next !== undefined) {
        if (!index.has(next)) enter(next);
        else if (isOpen.has(next)) low.set(top.node, Math.min(low.get(top.node)!, index.get(next)!));
        continue;
      }
      work.pop();
      const parent = work.at(-1);
      if (parent !== undefined) low.set(parent.node, Math.min(low.get(parent.node)!, low.get(top.node)!));
      if (low.get(top.node) === index.get(top.node)) sets.push(close(top.node, open, isOpen));
    }
  }
  return sets;
}

/** The nodes of a finished set: all that were opened after its first one. */
function close(first: number, open: number[], isOpen: Set<number>): number[] {
  const members = open.splice(open.lastIndexOf(first));
  for (const one of members) isOpen.delete(one);
  return members.sort((a, b) => a - b);
}

/** Staying inside of an image: a link in it that leads elsewhere is meant for the machine that it becomes, not for this one. */
import { realpathSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { fail } from './errors/error.ts';

/** Makes sure that none of the paths below `root` leads out of it, as far as they are there. Error: `usage`. */
export function requireInside(root: string, paths: readonly string[]): void {
  const real = realOf(root);
  const inside = real.endsWith(sep) ? real : `${real}${sep}`;
  for (const path of paths) {
    const leads = realOf(path);
    if (leads !== real && !leads.startsWith(inside)) {
      throw fail('usage', { problem: `${path} leads to ${leads}, which is not below ${real}` });
    }
  }
}

/** Where a path leads as far as it is there. */
function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const above = dirname(path);
    return above === path ? path : join(realOf(above), path.slice(above.length));
  }
}

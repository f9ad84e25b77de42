/** Stay inside an image: an absolute link in it points into the future machine, not into this one. */
import { realpathSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { failure } from './errors/error.ts';

/** Ensures that no existing part of the paths below `root` leads out of it. Error: `usage`. */
export function requireInside(root: string, paths: readonly string[]): void {
  const real = realOf(root);
  const inside = real.endsWith(sep) ? real : `${real}${sep}`;
  for (const path of paths) {
    const leads = realOf(path);
    if (leads !== real && !leads.startsWith(inside)) {
      throw failure('usage', { problem: `${path} leads to ${leads}, which is outside ${real}` });
    }
  }
}

/** Where the existing part of a path leads. */
function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const above = dirname(path);
    return above === path ? path : join(realOf(above), path.slice(above.length));
  }
}

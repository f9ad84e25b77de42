/** Stay inside an image: an absolute link in it points into the future machine, not into this one. */
import { type Dirent, readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';
import { failure } from './errors/error.ts';

/** Ensures that no existing part of the paths below `root` leads out of it. Error: `usage`. */
export function requireInside(root: string, paths: readonly string[]): void {
  for (const path of paths) {
    const leads = leadsOut(root, path);
    if (leads !== undefined)
      throw failure('usage', { problem: `${path} leads to ${leads}, which is outside ${realOf(root)}` });
  }
}

/** Where a path leads if that is outside `root`, whether it exists or not; undefined if it stays inside. */
export function leadsOut(root: string, path: string): string | undefined {
  const real = realOf(root);
  const leads = realOf(path);
  return leads === real || leads.startsWith(real.endsWith(sep) ? real : `${real}${sep}`) ? undefined : leads;
}

/** Links that are followed one after the other, as in the kernel (path_resolution(7)). */
const MOST_LINKS = 40;

/** Where a path leads. A link that leads to nothing counts by its target: writing would create that. */
function realOf(path: string, links = 0): string {
  try {
    return realpathSync(path);
  } catch {
    const above = dirname(path);
    if (above === path) return path;
    const target = links < MOST_LINKS ? linkAt(path) : undefined;
    if (target !== undefined) return realOf(resolve(realOf(above, links + 1), target), links + 1);
    return join(realOf(above, links), path.slice(above.length));
  }
}

function linkAt(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** Symbolic links below a folder, at most `depth` folders deep; none are followed. */
export function linksBelow(folder: string, depth: number): string[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isSymbolicLink()) return [path];
    return entry.isDirectory() && depth > 0 ? linksBelow(path, depth - 1) : [];
  });
}

/** Whether a file or folder is in the hands of root alone. */
import type { Stats } from 'node:fs';
import { statOf } from './attribute.ts';

/** True if root, or the user of this process, owns it and nobody else can write to it. A group of root's own may. */
export function isOwn({ uid, gid, mode }: Stats): boolean {
  const ours = uid === 0 || uid === process.geteuid?.();
  const group = (mode & 0o020) === 0 || gid === 0 || gid === process.getegid?.();
  return ours && group && (mode & 0o002) === 0;
}

/** The first of the paths that somebody else could change, links followed. Unreadable paths are ignored here; reading them fails later. */
export function foreign(paths: readonly string[]): string | undefined {
  return paths.find((path) => {
    const stat = statOf(path);
    return stat !== undefined && !isOwn(stat);
  });
}

/** Files that differ between two kernel sources, and a sample of them that can be drawn again. */
import { join } from 'node:path';
import { run } from '#kpatch/base/run.ts';

/** Small generator with a seed (mulberry32), so that a sample can be drawn again. From 0 to below 1. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The C files and headers below `folders` that both trees have and that differ, sorted; none that is generated. */
export async function changedFiles(folders: readonly string[], older: string, newer: string): Promise<string[]> {
  const files: string[] = [];
  for (const folder of folders) {
    const args = ['-rq', '--no-dereference', join(older, folder), join(newer, folder)];
    const { stdout } = await run('diff', args, { env: { LC_ALL: 'C' } });
    for (const line of stdout.toString().split('\n')) {
      const path = /^Files (\S+) and \S+ differ$/.exec(line)?.[1]?.slice(older.length + 1);
      if (path !== undefined && /\.[ch]$/.test(path) && !path.includes('/generated/')) files.push(path);
    }
  }
  return files.sort();
}

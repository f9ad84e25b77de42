/**
 * Has anything in a prepared kernel been changed by hand? Reading 1.5 GB on every use would cost more than a build, so the
 * names, sizes and times of all files are compared with the list that was made when the kernel was complete.
 * When it is compared: by every command that uses the kernel, and by `kpatch build` beside its work (builder/intact.ts).
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { sha256 } from '../base/digest.ts';
import { readBytes, writeAtomically } from '../base/files.ts';
import { runOk } from '../base/run.ts';

/** What is watched, below the kernel's folder. Folders' own times are not: a file that came and went is not damage. */
const watched = ['root', 'tree', 'vmlinux', 'kallsyms'];

/** One line a file: path, size, time of change, target of a link; in the order in which the folders list them. */
async function listing(folder: string): Promise<Buffer> {
  const args = [
    ...watched.filter((name) => existsSync(join(folder, name))),
    '-not',
    '-type',
    'd',
    '-printf',
    '%p\\t%s %T@ %l\\n',
  ];
  return (await runOk('find', args, { cwd: folder, env: { LC_ALL: 'C' } })).stdout;
}

/** Keeps the list of files of a kernel's folder in the file `listing` and gives its digest. */
export async function keepListing(folder: string): Promise<string> {
  const list = await listing(folder);
  writeAtomically(join(folder, 'listing'), zstdCompressSync(list), 0o444);
  return sha256(list);
}

/** The first file that is not as it was; undefined if all are. `digest` is what `keepListing` gave. */
export async function firstChange(folder: string, digest: string): Promise<string | undefined> {
  const now = await listing(folder);
  return sha256(now) === digest ? undefined : namedChange(folder, now);
}

/** The order of a listing may differ after the cache was copied to another disk: only a difference of the lines counts. */
function namedChange(folder: string, now: Buffer): string | undefined {
  let before: Set<string>;
  try {
    before = new Set(
      zstdDecompressSync(readBytes(join(folder, 'listing')))
        .toString('latin1')
        .split('\n'),
    );
  } catch {
    return 'listing';
  }
  const path = (line: string): string => line.slice(0, line.indexOf('\t'));
  for (const line of now.toString('latin1').split('\n')) {
    if (!before.delete(line)) return path(line);
  }
  const [gone] = before;
  return gone === undefined ? undefined : path(gone);
}

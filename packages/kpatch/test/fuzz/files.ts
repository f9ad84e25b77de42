/** Readers that take a path, as readers of bytes: the input is written to a file in a folder of its own. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';

const folder = temporaryFolder('kpatch-fuzz-');

/** `read` gets the folder, in which the input is the file `name`. */
export function asFile(name: string, read: (root: string, file: string) => unknown): (bytes: Buffer) => unknown {
  const root = join(folder.path, name.replaceAll('/', '-'));
  const file = join(root, name);
  mkdirSync(dirname(file), { recursive: true });
  return (bytes) => {
    writeFileSync(file, bytes);
    return read(root, file);
  };
}

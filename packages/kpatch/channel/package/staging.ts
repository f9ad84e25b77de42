/** A folder with a package's files as they will are on the machine, all with one date. */
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import type { PackageSpec } from './spec.ts';

/** Writes the files below `root` (0644, folders 0755), dated `epoch` in seconds. */
export function stage(root: string, files: PackageSpec['files'], epoch: number): void {
  const folders = new Set<string>([root]);
  mkdirSync(root, { recursive: true, mode: 0o755 });
  for (const [path, content] of files) {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
    writeFileSync(file, content, { mode: 0o644 });
    utimesSync(file, epoch, epoch);
    for (let folder = dirname(file); folder.startsWith(root + sep); folder = dirname(folder)) folders.add(folder);
  }
  for (const folder of folders) utimesSync(folder, epoch, epoch);
}

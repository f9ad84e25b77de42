/** Debian packages, unpacked without being installed. */
import { mkdirSync } from 'node:fs';
import { runOk } from '../../base/run.ts';

/** Unpacks a package below `root`. No script of the package runs. Errors: `tool-failed`, `disk-full`. */
export async function unpackDeb(path: string, root: string): Promise<void> {
  mkdirSync(root, { recursive: true });
  await runOk('dpkg-deb', ['-x', path, root]);
}

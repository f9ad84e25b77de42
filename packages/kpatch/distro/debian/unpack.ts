/** Debian packages, unpacked without being installed. */
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { packageEntries, unpackInto } from '../../sandbox/unpack.ts';
import { giveTree, takeBack } from '../../sandbox/user.ts';

/** Unpacks packages below `root`, several at once. Errors: those of `unpackInto`. */
export async function unpackDebs(paths: readonly string[], root: string, most = packageEntries): Promise<void> {
  mkdirSync(root, { recursive: true });
  giveTree(root);
  const one = `'set -o pipefail; dpkg-deb -X "$1" "$0" | counted'`;
  const pipeline = `printf '%s\\0' "\${@:2}" | xargs -0 -n 1 -P ${availableParallelism()} bash -c ${one} "$1"`;
  await unpackInto(root, { archives: paths, pipeline, most });
  await takeBack([root]);
}

/** Unpacks one package, see `unpackDebs`; what it unpacks stays the sandbox's until `takeBack`. */
export async function unpackDeb(path: string, root: string, most = packageEntries): Promise<void> {
  await unpackInto(root, { archives: [path], pipeline: 'dpkg-deb -X "$2" "$1" | counted', most });
}

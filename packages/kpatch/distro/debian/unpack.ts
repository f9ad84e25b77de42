/** Debian packages, unpacked without being installed. */
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { sandboxedOk } from '../../sandbox/sandbox.ts';
import { giveFolder, giveTree, takeBack } from '../../sandbox/user.ts';

/** Unpacks packages below `root`, several at once. None of their scripts runs. Errors: `tool-failed`, `disk-full`. */
export async function unpackDebs(paths: readonly string[], root: string): Promise<void> {
  mkdirSync(root, { recursive: true });
  giveTree(root);
  const script = `root=$1; shift; printf '%s\\0' "$@" | xargs -0 -n 1 -P ${availableParallelism()} sh -c 'dpkg-deb -x "$1" "$0"' "$root"`;
  await sandboxedOk('sh', ['-c', script, 'unpack', root, ...paths], { view: { readOnly: paths, writable: [root] } });
  await takeBack([root]);
}

/** Unpacks one package, see `unpackDebs`; what it unpacks stays the sandbox's until `takeBack`. */
export async function unpackDeb(path: string, root: string): Promise<void> {
  mkdirSync(root, { recursive: true });
  giveFolder(root);
  await sandboxedOk('dpkg-deb', ['-x', path, root], { view: { readOnly: [path], writable: [root] } });
}

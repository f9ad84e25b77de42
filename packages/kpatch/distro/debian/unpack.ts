/** Debian packages, unpacked without being installed. */
import { mkdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { failure } from '../../base/errors/error.ts';
import { saysDiskFull } from '../../base/files.ts';
import { toolFailed } from '../../base/run.ts';
import { sandboxed } from '../../sandbox/sandbox.ts';
import { giveFolder, giveTree, takeBack } from '../../sandbox/user.ts';

/** Unpacks packages below `root`, several at once. None of their scripts runs. Errors: `tool-failed`, `disk-full`. */
export async function unpackDebs(paths: readonly string[], root: string): Promise<void> {
  mkdirSync(root, { recursive: true });
  giveTree(root);
  const script = `root=$1; shift; printf '%s\\0' "$@" | xargs -0 -n 1 -P ${availableParallelism()} sh -c 'dpkg-deb -x "$1" "$0"' "$root"`;
  await unpacking('sh', ['-c', script, 'unpack', root, ...paths], paths, root);
  await takeBack([root]);
}

/** Runs a program that unpacks packages below `root`. Errors: `disk-full`, `tool-failed`. */
async function unpacking(
  command: string,
  args: readonly string[],
  packages: readonly string[],
  root: string,
): Promise<void> {
  const result = await sandboxed(command, args, { view: { readOnly: packages, writable: [root] } });
  if (result.status === 0) return;
  // xargs and dpkg-deb have no status of their own for it.
  if (saysDiskFull(result.stderr)) throw failure('disk-full', { file: root });
  throw toolFailed(command, args, result);
}

/** Unpacks one package, see `unpackDebs`; what it unpacks stays the sandbox's until `takeBack`. */
export async function unpackDeb(path: string, root: string): Promise<void> {
  mkdirSync(root, { recursive: true });
  giveFolder(root);
  await unpacking('dpkg-deb', ['-x', path, root], [path], root);
}

/**
 * The user that programs in a sandbox run as. Root gives up its rights: they run with an unused user ID.
 * Everybody else keeps their own number, and the sandbox hides their files instead.
 */
import { chmodSync, chownSync, lchownSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runOk } from '../base/run.ts';
import { isSandboxed } from '../base/workspace.ts';

/** systemd's table of user numbers leaves 60578 to 61183 unused (https://systemd.io/UIDS-GIDS); they fit containers too. */
const FIRST = 60_578;
const COUNT = 606;

/** The user number (and group number) of sandboxes that root starts; undefined if this process is not root. */
export function sandboxUser(): number | undefined {
  return process.getuid?.() === 0 && isSandboxed() ? FIRST + (process.pid % COUNT) : undefined;
}

/**
 * Lets the sandbox add files to a folder. What is in it stays ours: with the sticky bit (inode(7)) only the owner of an
 * entry or of the folder can remove or replace it.
 */
export function shareFolder(path: string): void {
  const user = sandboxUser();
  if (user === undefined) return;
  chownSync(path, 0, user);
  chmodSync(path, 0o1770);
}

/** Makes a folder the sandbox's own: it may add, change and remove all that it makes there. */
export function giveFolder(path: string): void {
  const user = sandboxUser();
  if (user !== undefined) lchownSync(path, user, user);
}

/** Makes a folder and all that is in it the sandbox's own. */
export function giveTree(path: string): void {
  if (sandboxUser() === undefined) return;
  giveFolder(path);
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) giveTree(join(path, entry.name));
    else giveFolder(join(path, entry.name));
  }
}

/** Takes folders and all that is in them back, once no program of the sandbox is at work there. */
export async function takeBack(paths: readonly string[]): Promise<void> {
  if (sandboxUser() === undefined) return;
  await runOk('chown', ['-R', '--no-dereference', '0:0', ...paths]);
}

/** What is made until the end of the block can be read by the sandbox, whatever the umask of the user. */
export function readableFiles(): Disposable {
  const before = sandboxUser() === undefined ? undefined : process.umask(0o022);
  return { [Symbol.dispose]: () => void (before !== undefined && process.umask(before)) };
}

/**
 * The user that programs in a sandbox run as. Root gives up its rights: a number that belongs to nobody runs them. Everybody
 * else keeps their own number, and the sandbox hides their files instead.
 */
import { chmodSync, chownSync, lchownSync } from 'node:fs';
import { isSandboxed } from './policy.ts';

/** systemd's table of user numbers leaves 60578 to 61183 unused (https://systemd.io/UIDS-GIDS); they fit containers too. */
const FIRST = 60_578;
const COUNT = 606;

/** The user number (and group number) of sandboxes that root starts; undefined where this process is not root. */
export function sandboxUser(): number | undefined {
  return process.getuid?.() === 0 && isSandboxed() ? FIRST + (process.pid % COUNT) : undefined;
}

/**
 * Lets the sandbox add files to a folder. What is in it stays ours: with the sticky bit (inode(7)) only the owner of an entry
 * or of the folder can remove or replace it.
 */
export function shareFolder(path: string): void {
  const user = sandboxUser();
  if (user === undefined) return;
  chownSync(path, 0, user);
  chmodSync(path, 0o1770);
}

/** Makes an entry (not what a link leads to) the sandbox's own, so that it can be replaced there. */
export function giveEntry(path: string): void {
  const user = sandboxUser();
  if (user !== undefined) lchownSync(path, user, user);
}

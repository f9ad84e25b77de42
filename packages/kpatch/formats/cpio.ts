/**
 * Writes cpio archives in the "newc" format, the one that the kernel unpacks as initramfs
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 */
import { failure } from '../base/errors/error.ts';

/** One entry of an archive. Paths have no leading slash. */
export type CpioEntry =
  | { readonly path: string; readonly folder: true; readonly mode?: number }
  | { readonly path: string; readonly link: string }
  | { readonly path: string; readonly content: Uint8Array; readonly mode?: number };

const TYPE = { folder: 0o040000, file: 0o100000, link: 0o120000 } as const;

/**
 * The archive of these entries, in the order given after the folders that they need (made with mode 0755 where they are
 * not given). Owner is root and all times are zero, so the same entries give the same bytes.
 * Error: `guest-file` for a path that is empty, has `..`, or is both a file and a folder.
 */
export function cpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  const kinds = new Map<string, 'folder' | 'other'>();
  let inode = 1;
  const add = (path: string, mode: number, content: Uint8Array): void => {
    parts.push(record(path, inode++, mode, content));
  };
  const addFolder = (path: string, mode: number): void => {
    if (path === '' || kinds.get(path) === 'folder') return;
    if (kinds.has(path)) throw failure('guest-file', { path, problem: 'it is both a file and a folder' });
    addFolder(parentOf(path), 0o755);
    kinds.set(path, 'folder');
    add(path, TYPE.folder | mode, new Uint8Array());
  };
  for (const entry of entries) {
    const path = checked(entry.path);
    if ('folder' in entry) {
      addFolder(path, entry.mode ?? 0o755);
      continue;
    }
    addFolder(parentOf(path), 0o755);
    if (kinds.has(path)) throw failure('guest-file', { path, problem: 'it is given twice' });
    kinds.set(path, 'other');
    if ('link' in entry) add(path, TYPE.link | 0o777, Buffer.from(entry.link));
    else add(path, TYPE.file | (entry.mode ?? 0o644), entry.content);
  }
  parts.push(record('TRAILER!!!', 0, 0, new Uint8Array()));
  return Buffer.concat(parts);
}

function parentOf(path: string): string {
  const at = path.lastIndexOf('/');
  return at < 0 ? '' : path.slice(0, at);
}

function checked(given: string): string {
  const path = given.replace(/^\/+/, '').replace(/\/+$/, '');
  if (path === '') throw failure('guest-file', { path: given, problem: 'it is empty' });
  if (path.includes('\0')) throw failure('guest-file', { path: 'with NUL', problem: 'it contains a NUL byte' });
  // The kernel's unpacker refuses names longer than PATH_MAX (init/initramfs.c).
  if (Buffer.byteLength(path) > 4000)
    throw failure('guest-file', { path: path.slice(0, 60), problem: 'it is too long' });
  if (path.split('/').some((part) => part === '..' || part === '.' || part === '')) {
    throw failure('guest-file', { path: given, problem: 'it has an empty, "." or ".." part' });
  }
  return path;
}

/** One header of 13 eight-digit hexadecimal fields after the magic, the name, the content; each padded to 4 bytes. */
function record(path: string, inode: number, mode: number, content: Uint8Array): Buffer {
  const name = Buffer.from(`${path}\0`);
  const links = (mode & 0o170000) === TYPE.folder ? 2 : 1;
  const fields = [inode, mode, 0, 0, links, 0, content.length, 0, 0, 0, 0, name.length, 0];
  const header = Buffer.from(`070701${fields.map((value) => value.toString(16).padStart(8, '0')).join('')}`);
  return Buffer.concat([header, name, padding(header.length + name.length), content, padding(content.length)]);
}

function padding(length: number): Buffer {
  return Buffer.alloc((4 - (length % 4)) % 4);
}

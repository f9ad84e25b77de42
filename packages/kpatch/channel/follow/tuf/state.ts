/**
 * What a machine has verified of its channel: `/var/lib/kpatch/channel/`. `metadata` is a link to a folder; a refresh works
 * on a copy, which becomes durable before the link changes, so that a power cut leaves the old state or the new one.
 */
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { failure } from '../../../base/errors/error.ts';
import {
  readBytes,
  syncFolder,
  type TemporaryFolder,
  temporaryFolder,
  writeAtomically,
  writeError,
} from '../../../base/files.ts';
import { object, type Plain } from '../../../base/plain.ts';
import { parseStrict } from '../../../base/strict-json.ts';
import type { Role } from '../../tuf/document.ts';

const files: readonly Role[] = ['root', 'timestamp', 'snapshot', 'targets'];

/** The folder of the channel's state on a machine. */
export function stateFolder(root: string): string {
  return join(root, 'var/lib/kpatch/channel');
}

/** True if there is verified metadata. */
export function hasState(base: string): boolean {
  return existsSync(join(base, 'metadata', 'root.json'));
}

/** A copy of the verified metadata to work on, in the same file system. Error: `tuf-state`. */
export function copyState(base: string, parent = base): TemporaryFolder {
  const copy = temporaryFolder('.refresh-', parent);
  for (const role of files) {
    const file = join(base, 'metadata', `${role}.json`);
    // Made durable when it is committed.
    if (existsSync(file)) writeFileSync(join(copy.path, `${role}.json`), readBytes(file));
    else if (role === 'root') {
      copy.dispose();
      throw failure('tuf-state', { problem: `${file} is missing` });
    }
  }
  return copy;
}

/** Puts a folder in the place of the verified metadata, durably. Errors: `disk-full`, `file-unwritable`. */
export function commitState(base: string, folder: string): void {
  const link = join(base, 'metadata');
  if (existsSync(link) && files.every((role) => sameFile(link, folder, `${role}.json`))) return;
  try {
    // Nothing in it is secret, and the process that fetches without rights of root reads it.
    chmodSync(folder, 0o755);
    for (const name of readdirSync(folder)) syncFile(join(folder, name));
    syncFolder(folder);
    const before = existsSync(link) ? readlinkSync(link) : '';
    const number = Number(/^metadata\.(\d+)$/.exec(before)?.[1] ?? 0) + 1;
    const next = `metadata.${number}`;
    rmSync(join(base, next), { recursive: true, force: true });
    renameSync(folder, join(base, next));
    syncFolder(base);
    const fresh = join(base, '.metadata.next');
    rmSync(fresh, { force: true });
    symlinkSync(next, fresh);
    renameSync(fresh, link);
    syncFolder(base);
    for (const name of readdirSync(base)) {
      if (/^metadata\.\d+$/.test(name) && name !== next) rmSync(join(base, name), { recursive: true, force: true });
    }
  } catch (error) {
    throw writeError(link, error);
  }
}

function sameFile(one: string, other: string, name: string): boolean {
  const [a, b] = [join(one, name), join(other, name)];
  if (!existsSync(a) || !existsSync(b)) return existsSync(a) === existsSync(b);
  return readBytes(a).equals(readBytes(b));
}

function syncFile(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Begins with a root that the administrator trusts. Errors: `disk-full`, `file-unwritable`. */
export function startState(base: string, root: Uint8Array): void {
  mkdirSync(base, { recursive: true, mode: 0o755 });
  const folder = temporaryFolder('.refresh-', base);
  try {
    writeAtomically(join(folder.path, 'root.json'), root);
    commitState(base, folder.path);
    writeAtomically(join(base, 'trusted-root.json'), root);
  } finally {
    folder.dispose();
  }
}

/** The signed part of verified metadata; `undefined` before the first refresh. Error: `tuf-state`. */
export function signedOf(base: string, role: Role): Plain | undefined {
  return signedIn(join(base, 'metadata'), role);
}

/** The same for metadata in any folder. Error: `tuf-state`. */
export function signedIn(folder: string, role: Role): Plain | undefined {
  const file = join(folder, `${role}.json`);
  if (!existsSync(file)) return undefined;
  try {
    return object(object(parseStrict(readBytes(file).toString('utf8'))).signed);
  } catch (cause) {
    throw failure('tuf-state', { problem: `${file} cannot be read` }, { where: { file }, cause });
  }
}

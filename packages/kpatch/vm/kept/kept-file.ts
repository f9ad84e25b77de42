/**
 * Files of kept guests. Each holds one saved guest: a header of fixed length (JSON, padded), then the state as QEMU writes
 * it. A file's name ends with the SHA-256 of its whole content, so a damaged one is detected; only a file that belongs to
 * this user and that nobody else can read or write is used, since its content becomes the memory of a guest that proofs
 * rely on.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  read,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from '../../base/files.ts';
import { onExit } from '../../base/process/cleanup.ts';
import type { keptGuestDocument } from '../../documents/definitions/stored.ts';
import { type Stored, storedDocument } from '../../documents/form.ts';

const HEADER_BYTES = 64 * 1024;

export type KeptHeader = Stored<typeof keptGuestDocument>;

/** Changes whenever a file made before must not be resumed. */
export const KEPT_FORMAT: KeptHeader['format'] = 1;

/** Why a file is not used, in words. */
export class KeptFileUnusable extends Error {}

/** A kept guest whose file is open at the place where QEMU's state begins. */
export interface OpenKept {
  readonly path: string;
  readonly sha256: string;
  readonly header: KeptHeader;
  readonly fd: number;
  /** Reads the whole file and compares its digest with its name. Rejects with `KeptFileUnusable`. */
  verify(): Promise<void>;
  close(): void;
}

/**
 * Makes the folder, for this user only. Throws `KeptFileUnusable` where it belongs to someone else or others may write to
 * it.
 */
export function keptFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const info = lstatSync(path);
  if (!info.isDirectory()) throw new KeptFileUnusable(`${path} is not a folder`);
  if (info.uid !== process.geteuid?.()) throw new KeptFileUnusable(`${path} belongs to another user`);
  if ((info.mode & 0o022) !== 0) throw new KeptFileUnusable(`other users may write to ${path}`);
}

/** The files with this key, by path. */
export function keptWithKey(folder: string, key: string): string[] {
  return namesIn(folder)
    .filter((name) => name.includes(`-${key}-`))
    .map((name) => join(folder, name));
}

const pattern = /^[\w.+~-]+-([0-9a-f]{16})-([0-9a-f]{64})\.guest$/;

function namesIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => pattern.test(name));
}

/** Opens a kept guest. Throws `KeptFileUnusable`. */
export function openKept(path: string, key: string): OpenKept {
  const sha256 = pattern.exec(basename(path))?.[2] ?? '';
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw new KeptFileUnusable((error as Error).message);
  }
  try {
    const info = fstatSync(fd);
    if (!info.isFile() || info.nlink !== 1) throw new KeptFileUnusable('it is not a plain file');
    if (info.uid !== process.geteuid?.()) throw new KeptFileUnusable('it belongs to another user');
    if ((info.mode & 0o077) !== 0) throw new KeptFileUnusable('other users may read or write it');
    const header = readHeader(fd, key);
    return { path, sha256, header, fd, verify: () => verify(fd, sha256), close: () => closeSync(fd) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Reads the header and leaves the file at its end. */
function readHeader(fd: number, key: string): KeptHeader {
  const bytes = Buffer.alloc(HEADER_BYTES);
  const header = readSync(fd, bytes, 0, HEADER_BYTES, null) === HEADER_BYTES ? parsed(bytes) : undefined;
  if (header?.key !== key) throw new KeptFileUnusable('its header is damaged');
  return header;
}

function parsed(bytes: Buffer): KeptHeader | undefined {
  try {
    return storedDocument('kpatch.kept-guest', JSON.parse(bytes.toString('utf8')));
  } catch {
    return undefined;
  }
}

const readPiece = promisify(read);

async function verify(fd: number, sha256: string): Promise<void> {
  const hash = createHash('sha256');
  const piece = Buffer.alloc(1 << 20);
  for (let at = 0; ; ) {
    const { bytesRead } = await readPiece(fd, piece, 0, piece.length, at);
    if (bytesRead === 0) break;
    hash.update(piece.subarray(0, bytesRead));
    at += bytesRead;
  }
  if (hash.digest('hex') !== sha256)
    throw new KeptFileUnusable('its content is damaged: the digest differs from its name');
}

/** Writes a kept guest piece by piece; it is complete, and has its name, once `finish` returns. */
export interface KeptWriter {
  write(chunk: Uint8Array): void;
  /** Gives the path. */
  finish(): string;
  /** Removes what was written, unless it is finished. */
  abandon(): void;
}

/** Begins a file. `label` is for people: the kernel's release. */
export function writeKept(folder: string, label: string, header: Omit<KeptHeader, 'format'>): KeptWriter {
  const work = temporaryFolder('kpatch-keep-', folder);
  const path = join(work.path, 'state');
  const fd = openSync(path, 'wx', 0o600);
  const hash = createHash('sha256');
  let open = true;
  const close = (): void => {
    if (open) closeSync(fd);
    open = false;
  };
  const forget = onExit(close);
  const write = (chunk: Uint8Array): void => {
    hash.update(chunk);
    for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
  };
  write(headerBytes({ format: KEPT_FORMAT, ...header }));
  return {
    write,
    finish() {
      close();
      const name = `${label.replace(/[^\w.+~-]/g, '_')}-${header.key}-${hash.digest('hex')}.guest`;
      renameSync(path, join(folder, name));
      work.dispose();
      forget();
      return join(folder, name);
    },
    abandon() {
      close();
      work.dispose();
      forget();
    },
  };
}

function headerBytes(header: KeptHeader): Buffer {
  const console = header.console.slice(-HEADER_BYTES / 8); // a character takes up to 6 bytes in JSON
  const text = JSON.stringify({ ...header, console });
  return Buffer.concat([Buffer.from(text), Buffer.alloc(HEADER_BYTES - Buffer.byteLength(text), ' ')]);
}

/** Marks a kept guest as used now, so that others are removed before it. */
export function touchKept(path: string): void {
  try {
    utimesSync(path, new Date(), new Date());
  } catch {
    // removed in the meantime
  }
}

/** Removes a kept guest; one that is gone is not an error. */
export function removeKept(path: string): void {
  rmSync(path, { force: true });
}

/** Removes those of `key` beyond `perKey`, and then the least recently used of all until they fit into `limitBytes`. */
export function tidyKept(folder: string, key: string, perKey: number, limitBytes: number): void {
  const all = namesIn(folder)
    .flatMap((name) => {
      const info = lstatSync(join(folder, name), { throwIfNoEntry: false });
      return info === undefined ? [] : [{ path: join(folder, name), name, size: info.size, used: info.mtimeMs }];
    })
    .sort((a, b) => b.used - a.used);
  let ofKey = 0;
  let bytes = 0;
  for (const { path, name, size } of all) {
    bytes += size;
    if (name.includes(`-${key}-`)) ofKey++;
    if (bytes <= limitBytes && !(name.includes(`-${key}-`) && ofKey > perKey)) continue;
    removeKept(path);
    bytes -= size;
  }
}

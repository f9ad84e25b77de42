/** Where the files of a channel come from: a web server, or a folder. Either may lie about everything. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { failure, KpatchError } from '../../../base/errors/error.ts';

export interface Source {
  /** As the user knows it. */
  readonly url: string;
  /**
   * A file of the channel, at most `limit` bytes; `undefined` if there is none.
   * Errors: `tuf-too-large`, `channel-unreachable`.
   */
  read(path: string, limit: number): Promise<Buffer | undefined>;
}

/** For one file. A mirror that sends a byte now and then must not hold up the machine. */
const FILE_MS = 60_000;
/** For all files of one command. */
const ALL_MS = 600_000;

/** The source at an address: `https://`, `http://`, or `file://` for a copy on a disk. */
export function sourceAt(url: string, fileMs = FILE_MS): Source {
  return url.startsWith('file:') ? folderSource(fileURLToPath(url), url) : webSource(url, fileMs);
}

/** A folder as a source. Links, pipes and devices in it are not followed or waited for. */
export function folderSource(folder: string, url = folder): Source {
  return {
    url,
    read: (path, limit) => Promise.resolve(readLimited(join(folder, path), limit, url, path)),
  };
}

function readLimited(file: string, limit: number, url: string, path: string): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw failure('channel-unreachable', { url, problem: `${path}: ${(error as Error).message}` }, { cause: error });
  }
  try {
    const { size } = fstatSync(fd);
    if (!fstatSync(fd).isFile())
      throw failure('channel-unreachable', { url, problem: `${path} is not a regular file` });
    if (size > limit) throw failure('tuf-too-large', { url, file: path, limit });
    const bytes = Buffer.alloc(size);
    let at = 0;
    for (let read = -1; at < size && read !== 0; at += read) read = readSync(fd, bytes, at, size - at, at);
    return bytes.subarray(0, at);
  } finally {
    closeSync(fd);
  }
}

function webSource(url: string, fileMs: number): Source {
  const all = AbortSignal.timeout(ALL_MS);
  return {
    url,
    async read(path, limit) {
      try {
        const signal = AbortSignal.any([all, AbortSignal.timeout(fileMs)]);
        const ask = (): Promise<Response> => fetch(`${url}/${path}`, { signal, headers: { 'User-Agent': 'kpatch' } });
        const response = await ask().catch((error: unknown) => {
          // Many servers close a connection after five quiet seconds, which a slow machine may take between two files.
          if (isClosed(error)) return ask();
          throw error;
        });
        if (response.status === 404 || response.status === 403) {
          await response.body?.cancel();
          return undefined;
        }
        if (!response.ok || response.body === null) throw new Error(`the server answers ${response.status}`);
        return await bodyOf(response.body, limit, url, path);
      } catch (error) {
        if (error instanceof KpatchError) throw error;
        throw failure('channel-unreachable', { url, problem: `${path}: ${reasonOf(error)}` }, { cause: error });
      }
    },
  };
}

function isClosed(error: unknown): boolean {
  const { code } = ((error as { cause?: unknown }).cause ?? {}) as { code?: unknown };
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET';
}

async function bodyOf(body: ReadableStream<Uint8Array>, limit: number, url: string, path: string): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of body) {
    length += part.length;
    // Leaving the loop cancels the transfer.
    if (length > limit) throw failure('tuf-too-large', { url, file: path, limit });
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function reasonOf(error: unknown): string {
  const { name, message, cause } = error as Error;
  if (name === 'TimeoutError') return 'it takes too long';
  return cause instanceof Error && cause.message !== '' ? cause.message : message;
}

/** The bytes of a patch that may be compressed. */
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { failure } from '../../base/errors/error.ts';

/** The largest patch that is read: the difference between two Linux versions is under 100 MiB. */
export const LARGEST_PATCH = 256 * 1024 * 1024;

/** Unpacks gzip and zstd. Errors: `patch-too-large`, `patch-encoded` (xz, bzip2, UTF-16), `patch-malformed`. */
export function plainBytes(file: string, bytes: Uint8Array): Buffer {
  const where = { where: { file } };
  const start = Buffer.from(bytes.subarray(0, 6)).toString('hex');
  const packing = Object.entries(packings).find(([magic]) => start.startsWith(magic))?.[1];
  if (packing !== undefined && packing !== 'gzip' && packing !== 'zstd')
    throw failure('patch-encoded', { file, encoding: packing }, where);
  if (bytes.length > LARGEST_PATCH) throw tooLarge(file);
  if (packing === undefined) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const unpack = packing === 'gzip' ? gunzipSync : zstdDecompressSync;
  try {
    return unpack(bytes, { maxOutputLength: LARGEST_PATCH });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(file);
    const problem = `it cannot be unpacked (${error instanceof Error ? error.message : String(error)})`;
    throw failure('patch-malformed', { file, problem }, { ...where, cause: error });
  }
}

/** First bytes of a file. */
const packings: Readonly<Record<string, string>> = {
  '1f8b': 'gzip',
  '28b52ffd': 'zstd',
  fd377a585a00: 'an xz file',
  '425a68': 'a bzip2 file',
  fffe: 'UTF-16 text',
  feff: 'UTF-16 text',
};

function tooLarge(file: string): Error {
  return failure('patch-too-large', { file, limit: LARGEST_PATCH / 1024 / 1024 }, { where: { file } });
}

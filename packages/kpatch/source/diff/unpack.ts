/** The bytes of a patch that may be compressed. */
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { failure } from '../../base/errors/error.ts';
import { type Compression, compressionOf } from '../../formats/compression.ts';

/** The largest patch that is read: the difference between two Linux versions is under 100 MiB. */
export const LARGEST_PATCH = 256 * 1024 * 1024;

/** Unpacks gzip and zstd. Errors: `patch-too-large`, `patch-encoded` (xz, bzip2, UTF-16), `patch-malformed`. */
export function plainBytes(file: string, bytes: Uint8Array): Buffer {
  const where = { where: { file } };
  const packing = compressionOf(bytes);
  const encoding = packing === undefined ? utf16(bytes) : unsupported[packing];
  if (encoding !== undefined) throw failure('patch-encoded', { file, encoding }, where);
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

/** Compressions that Node cannot unpack, for the message. */
const unsupported: Partial<Record<Compression, string>> = {
  xz: 'an xz file',
  bzip2: 'a bzip2 file',
  lz4: 'an lz4 file',
  lzma: 'an lzma file',
};

/** UTF-16 begins with the byte order mark U+FEFF. */
function utf16(bytes: Uint8Array): string | undefined {
  const [first, second] = bytes;
  const marked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  return marked ? 'UTF-16 text' : undefined;
}

function tooLarge(file: string): Error {
  return failure('patch-too-large', { file, limit: LARGEST_PATCH / 1024 / 1024 }, { where: { file } });
}

/** Kernels packed with any of the kernel's own methods (lib/decompress*). */
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { failure } from '../base/errors/error.ts';
import { sandboxed } from '../sandbox/sandbox.ts';
import { compressionOf } from './compression.ts';
import { decodeLz4Legacy } from './lz4.ts';

/** No kernel unpacks to more (bytes); a malicious file ends here instead of filling the memory. */
const LIMIT = 1 << 30;

function unreadable(file: string, reason: string, cause?: unknown): Error {
  return failure('kernel-image-format', { file, reason }, { where: { file }, cause });
}

/**
 * Unpacks. The last four bytes of a packed kernel are its unpacked size, which is not part of the stream
 * (scripts/Makefile.lib, size_append); gzip has it as its own trailer. `file` is the name for messages, `limit` the bytes that it may unpack to.
 * Errors: `kernel-image-format`, `tool-missing`, `output-too-large`.
 */
export async function decompress(payload: Buffer, file: string, limit = LIMIT): Promise<Buffer> {
  if (payload.length < 16) throw unreadable(file, 'it is too short');
  const compression = compressionOf(payload);
  const body = payload.subarray(0, payload.length - 4);
  try {
    if (compression === 'gzip') return gunzipSync(payload, { maxOutputLength: limit });
    if (compression === 'zstd') return zstdDecompressSync(body, { maxOutputLength: limit });
    if (compression === 'lz4') return decodeLz4Legacy(body, limit);
  } catch (cause) {
    throw unreadable(file, 'its compressed payload is damaged', cause);
  }
  if (compression === undefined) throw unreadable(file, 'it is not an ELF file, and its compression is unknown');
  const xz = ['xz', `--format=${compression}`, '--single-stream', '-T0', '-dc'];
  const command = compression === 'bzip2' ? ['bzip2', '-dc'] : xz;
  const options = { view: {}, input: body, maxOutput: limit };
  const { status, stdout, stderr } = await sandboxed(command[0]!, command.slice(1), options);
  if (status !== 0) throw unreadable(file, `its compressed payload is damaged (${stderr.trim()})`);
  return stdout;
}

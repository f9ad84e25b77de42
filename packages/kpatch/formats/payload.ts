/** What a boot image holds: the compressed vmlinux inside it, unpacked (Documentation/arch/x86/boot.rst, lib/decompress*). */
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { fail } from '../base/errors/error.ts';
import { run } from '../base/run.ts';
import { decodeLz4Legacy } from './lz4.ts';

/** No kernel unpacks to more (bytes); a malicious file ends here instead of filling the memory. */
const LIMIT = 1 << 30;

/**
 * Unpacks a kernel image to the vmlinux ELF: bzImage of x86, a compressed vmlinux, or a plain ELF file.
 * `file` is the name for messages. Errors: `kernel-image-format`, `tool-missing`.
 */
export async function unpackImage(image: Buffer, file: string): Promise<Buffer> {
  if (isElf(image)) return image;
  const payload = payloadOf(image, file);
  const vmlinux = await decompress(payload, file);
  if (!isElf(vmlinux)) throw unreadable(file, 'its payload is not an ELF file');
  return vmlinux;
}

function isElf(bytes: Buffer): boolean {
  return bytes.length > 64 && bytes.readUInt32BE(0) === 0x7f454c46;
}

function unreadable(file: string, reason: string, cause?: unknown): Error {
  return fail('kernel-image-format', { file, reason }, { where: { file }, cause });
}

/** The packed part of an x86 bzImage by its setup header (protocol 2.08 or later), or the whole file if it is not one. */
function payloadOf(image: Buffer, file: string): Buffer {
  if (image.length < 0x260 || image.toString('latin1', 0x202, 0x206) !== 'HdrS') return image;
  if (image.readUInt16LE(0x206) < 0x208) throw unreadable(file, 'its boot protocol is older than 2.08');
  const setupSectors = image[0x1f1] === 0 ? 4 : image[0x1f1]!;
  const start = (setupSectors + 1) * 512 + image.readUInt32LE(0x248);
  const length = image.readUInt32LE(0x24c);
  if (start + length > image.length || length < 16) throw unreadable(file, 'it is truncated');
  return image.subarray(start, start + length);
}

/** The last four bytes of a packed kernel are its unpacked size, which is not part of the stream (scripts/Makefile.lib, size_append). */
async function decompress(payload: Buffer, file: string): Promise<Buffer> {
  if (payload.length < 16) throw unreadable(file, 'it is too short');
  const magic = payload.readUInt32BE(0);
  const body = payload.subarray(0, payload.length - 4);
  try {
    if (magic >>> 16 === 0x1f8b) return gunzipSync(payload, { maxOutputLength: LIMIT });
    if (magic === 0x28b52ffd) return zstdDecompressSync(body, { maxOutputLength: LIMIT });
    if (magic === 0x02214c18) return decodeLz4Legacy(body, LIMIT);
  } catch (cause) {
    throw unreadable(file, 'its compressed payload is damaged', cause);
  }
  const tool =
    magic === 0xfd377a58 ? 'xz' : magic >>> 8 === 0x425a68 ? 'bzip2' : magic >>> 8 === 0x5d0000 ? 'lzma' : '';
  if (tool === '') throw unreadable(file, 'it is not an ELF file, and its compression is unknown');
  const command = tool === 'bzip2' ? ['bzip2', '-dc'] : ['xz', `--format=${tool}`, '--single-stream', '-T0', '-dc'];
  const { status, stdout, stderr } = await run(command[0]!, command.slice(1), { input: body });
  if (status !== 0) throw unreadable(file, `its compressed payload is damaged (${stderr.trim()})`);
  return stdout;
}

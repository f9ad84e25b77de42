/** Reading tar archives in the ustar format (POSIX.1-1988), as `tar --format=ustar` writes them. */

export interface TarEntry {
  /** As the archive has it, without a leading `./` and a trailing `/`. */
  readonly path: string;
  readonly kind: 'file' | 'folder' | 'other';
  readonly bytes: Buffer;
}

const BLOCK = 512;

/** The entries of an archive; undefined if it is not a complete archive of this format. */
export function readTar(archive: Buffer): TarEntry[] | undefined {
  const entries: TarEntry[] = [];
  let at = 0;
  while (at + BLOCK <= archive.length) {
    const header = archive.subarray(at, at + BLOCK);
    if (header.every((byte) => byte === 0)) return entries;
    if (header.toString('latin1', 257, 262) !== 'ustar') return undefined;
    const size = Number.parseInt(text(header, 124, 12), 8);
    const start = at + BLOCK;
    if (!Number.isSafeInteger(size) || size < 0 || start + size > archive.length) return undefined;
    const prefix = text(header, 345, 155);
    const name = `${prefix === '' ? '' : `${prefix}/`}${text(header, 0, 100)}`;
    const type = String.fromCharCode(header[156]!);
    const kind = type === '0' || type === '\0' ? 'file' : type === '5' ? 'folder' : 'other';
    const path = name.replace(/^\.\//, '').replace(/\/$/, '');
    entries.push({ path, kind, bytes: archive.subarray(start, start + (kind === 'file' ? size : 0)) });
    at = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  return undefined;
}

/** A text field, which ends at its first zero byte. */
function text(header: Buffer, from: number, length: number): string {
  const field = header.toString('utf8', from, from + length);
  const end = field.indexOf('\0');
  return (end < 0 ? field : field.slice(0, end)).trim();
}

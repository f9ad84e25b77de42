/** How a file is compressed, by its first bytes. */

export type Compression = 'gzip' | 'zstd' | 'xz' | 'lz4' | 'bzip2' | 'lzma';

/** From the formats' specifications; lz4 in its legacy form, which is the one that kernels are packed with. */
const starts: readonly (readonly [Compression, hex: string])[] = [
  ['gzip', '1f8b'],
  ['zstd', '28b52ffd'],
  ['xz', 'fd377a585a00'],
  ['lz4', '02214c18'],
  ['bzip2', '425a68'],
  ['lzma', '5d0000'],
];

/** The compression of bytes that begin like this; undefined if they are not compressed in a known way. */
export function compressionOf(bytes: Uint8Array): Compression | undefined {
  const start = Buffer.from(bytes.subarray(0, 6)).toString('hex');
  return starts.find(([, magic]) => start.startsWith(magic))?.[0];
}

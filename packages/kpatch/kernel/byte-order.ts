/** Numbers in a kernel's bytes, in the byte order of its machine. */
export interface ByteOrder {
  u16(bytes: Buffer, at: number): number;
  u32(bytes: Buffer, at: number): number;
  i32(bytes: Buffer, at: number): number;
  u64(bytes: Buffer, at: number): bigint;
}

export const littleEndian: ByteOrder = {
  u16: (bytes, at) => bytes.readUInt16LE(at),
  u32: (bytes, at) => bytes.readUInt32LE(at),
  i32: (bytes, at) => bytes.readInt32LE(at),
  u64: (bytes, at) => bytes.readBigUInt64LE(at),
};

export const bigEndian: ByteOrder = {
  u16: (bytes, at) => bytes.readUInt16BE(at),
  u32: (bytes, at) => bytes.readUInt32BE(at),
  i32: (bytes, at) => bytes.readInt32BE(at),
  u64: (bytes, at) => bytes.readBigUInt64BE(at),
};

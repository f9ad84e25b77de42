/**
 * A program of 25 instruction bytes for a resumed guest: it tells the kernel to draw its random numbers from the entropy that
 * was just written. Busybox has no applet for that.
 */

/**
 * `ioctl(0, RNDRESEEDCRNG)` (include/uapi/linux/random.h), then `exit(-result)`: standard input must be /dev/urandom.
 *
 *     xor edi,edi; mov esi,0x5207; mov eax,16; syscall; mov edi,eax; neg edi; mov eax,60; syscall
 */
const code = Buffer.from('31ffbe07520000b8100000000f0589c7f7dfb83c0000000f05', 'hex');

const HEADER = 64;
const PROGRAM_HEADER = 56;
const BASE = 0x400000n;

/** The program as a static ELF executable for x86-64. */
export function reseedProgram(): Buffer {
  const entry = HEADER + PROGRAM_HEADER;
  const size = BigInt(entry + code.length);
  const bytes = Buffer.alloc(Number(size));
  bytes.write('\x7fELF\x02\x01\x01', 'latin1');
  bytes.writeUInt16LE(2, 16); // ET_EXEC
  bytes.writeUInt16LE(62, 18); // EM_X86_64
  bytes.writeUInt32LE(1, 20);
  bytes.writeBigUInt64LE(BASE + BigInt(entry), 24);
  bytes.writeBigUInt64LE(BigInt(HEADER), 32);
  bytes.writeUInt16LE(HEADER, 52);
  bytes.writeUInt16LE(PROGRAM_HEADER, 54);
  bytes.writeUInt16LE(1, 56);
  bytes.writeUInt32LE(1, HEADER); // PT_LOAD
  bytes.writeUInt32LE(5, HEADER + 4); // readable, executable
  bytes.writeBigUInt64LE(BASE, HEADER + 16);
  bytes.writeBigUInt64LE(BASE, HEADER + 24);
  bytes.writeBigUInt64LE(size, HEADER + 32);
  bytes.writeBigUInt64LE(size, HEADER + 40);
  bytes.writeBigUInt64LE(0x1000n, HEADER + 48);
  code.copy(bytes, entry);
  return bytes;
}

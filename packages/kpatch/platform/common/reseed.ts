/**
 * A program for a resumed guest: it tells the kernel to draw its random numbers from the entropy that was just written. Busybox
 * has no applet for that. It is a few instructions, so it is written here for each machine and needs no compiler.
 */

const HEADER = 64;
const PROGRAM_HEADER = 56;
const BASE = 0x400000n;

export interface ProgramCode {
  /** `e_machine` and `e_flags` of programs for the machine. */
  readonly machine: number;
  readonly flags?: number;
  readonly littleEndian: boolean;
  /** `ioctl(0, RNDRESEEDCRNG)` (include/uapi/linux/random.h: 0x5207, with _IO of the machine), then `exit(-result)`. */
  readonly code: Buffer;
}

/** The code as a static ELF executable. It has no other segment. Standard input must be /dev/urandom. */
export function staticProgram({ machine, flags = 0, littleEndian, code }: ProgramCode): Buffer {
  const entry = HEADER + PROGRAM_HEADER;
  const size = BigInt(entry + code.length);
  const bytes = Buffer.alloc(Number(size));
  const u16 = (value: number, at: number): number =>
    littleEndian ? bytes.writeUInt16LE(value, at) : bytes.writeUInt16BE(value, at);
  const u32 = (value: number, at: number): number =>
    littleEndian ? bytes.writeUInt32LE(value, at) : bytes.writeUInt32BE(value, at);
  const u64 = (value: bigint, at: number): number =>
    littleEndian ? bytes.writeBigUInt64LE(value, at) : bytes.writeBigUInt64BE(value, at);
  bytes.write(`\x7fELF\x02${littleEndian ? '\x01' : '\x02'}\x01`, 'latin1');
  u16(2, 16); // ET_EXEC
  u16(machine, 18);
  u32(1, 20);
  u64(BASE + BigInt(entry), 24);
  u64(BigInt(HEADER), 32);
  u32(flags, 48);
  u16(HEADER, 52);
  u16(PROGRAM_HEADER, 54);
  u16(1, 56);
  u32(1, HEADER); // PT_LOAD
  u32(5, HEADER + 4); // readable, executable
  u64(BASE, HEADER + 16);
  u64(BASE, HEADER + 24);
  u64(size, HEADER + 32);
  u64(size, HEADER + 40);
  u64(0x10000n, HEADER + 48); // the largest page of any machine
  code.copy(bytes, entry);
  return bytes;
}

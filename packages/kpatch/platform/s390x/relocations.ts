/**
 * Relocation types of s390x (ELF Application Binary Interface s390x Supplement). Types ending in DBL count halfwords from the
 * field; the field of the instructions of the compiler is at byte 2, and their targets count from the instruction itself:
 * the addend has 2 more than what is meant.
 */
import type { RelocationKind } from '../platform.ts';

export const R_390 = {
  NONE: 0,
  PC32: 5,
  PC16: 16,
  PC16DBL: 17,
  PLT16DBL: 18,
  PC32DBL: 19,
  PLT32DBL: 20,
  '64': 22,
  PC64: 23,
  GOTENT: 26,
  PC12DBL: 62,
  PLT12DBL: 63,
  PC24DBL: 64,
  PLT24DBL: 65,
} as const;

/** Field at byte 2 of the instruction. */
const BEHIND_OPCODE = -2;

const table: Readonly<Record<number, RelocationKind>> = {
  0: { name: 'R_390_NONE', form: 'none', bias: 0 },
  1: { name: 'R_390_8', form: 'absolute', bias: 0 },
  2: { name: 'R_390_12', form: 'absolute', bias: 0 },
  3: { name: 'R_390_16', form: 'absolute', bias: 0 },
  4: { name: 'R_390_32', form: 'absolute', bias: 0, bytes: 4 },
  5: { name: 'R_390_PC32', form: 'pc-relative', bias: 0, bytes: 4 },
  16: { name: 'R_390_PC16', form: 'pc-relative', bias: 0 },
  17: { name: 'R_390_PC16DBL', form: 'pc-relative', bias: BEHIND_OPCODE },
  18: { name: 'R_390_PLT16DBL', form: 'pc-relative', bias: BEHIND_OPCODE },
  19: { name: 'R_390_PC32DBL', form: 'pc-relative', bias: BEHIND_OPCODE },
  20: { name: 'R_390_PLT32DBL', form: 'pc-relative', bias: BEHIND_OPCODE },
  22: { name: 'R_390_64', form: 'absolute', bias: 0, bytes: 8 },
  23: { name: 'R_390_PC64', form: 'pc-relative', bias: 0, bytes: 8 },
  26: { name: 'R_390_GOTENT', form: 'got', bias: BEHIND_OPCODE },
  57: { name: 'R_390_20', form: 'absolute', bias: 0 },
  // bprp: the two fields are at bytes 1 and 3
  62: { name: 'R_390_PC12DBL', form: 'pc-relative', bias: -1 },
  63: { name: 'R_390_PLT12DBL', form: 'pc-relative', bias: -1 },
  64: { name: 'R_390_PC24DBL', form: 'pc-relative', bias: -3 },
  65: { name: 'R_390_PLT24DBL', form: 'pc-relative', bias: -3 },
};

export function relocationOf(type: number): RelocationKind | undefined {
  return table[type];
}

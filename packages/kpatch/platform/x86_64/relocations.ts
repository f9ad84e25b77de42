/** Relocation types of x86-64 (System V ABI, AMD64 supplement, table 4.9). */
import type { RelocationKind } from '../platform.ts';

export const R_X86_64 = {
  NONE: 0,
  64: 1,
  PC32: 2,
  GOT32: 3,
  PLT32: 4,
  GOTPCREL: 9,
  32: 10,
  '32S': 11,
  16: 12,
  PC16: 13,
  8: 14,
  PC8: 15,
  PC64: 24,
  GOTPCRELX: 41,
  REX_GOTPCRELX: 42,
} as const;

const table: Readonly<Record<number, RelocationKind>> = {
  [R_X86_64.NONE]: { name: 'R_X86_64_NONE', form: 'none', bias: 0 },
  [R_X86_64[64]]: { name: 'R_X86_64_64', form: 'absolute', bias: 0, bytes: 8 },
  [R_X86_64.PC32]: { name: 'R_X86_64_PC32', form: 'pc-relative', bias: 'instruction-end', bytes: 4 },
  [R_X86_64.PLT32]: { name: 'R_X86_64_PLT32', form: 'pc-relative', bias: 'instruction-end', bytes: 4 },
  [R_X86_64.GOTPCREL]: { name: 'R_X86_64_GOTPCREL', form: 'got', bias: 'instruction-end' },
  [R_X86_64[32]]: { name: 'R_X86_64_32', form: 'absolute', bias: 0, bytes: 4 },
  [R_X86_64['32S']]: { name: 'R_X86_64_32S', form: 'absolute', bias: 0, bytes: 4 },
  [R_X86_64[16]]: { name: 'R_X86_64_16', form: 'absolute', bias: 0 },
  [R_X86_64.PC16]: { name: 'R_X86_64_PC16', form: 'pc-relative', bias: 'instruction-end' },
  [R_X86_64[8]]: { name: 'R_X86_64_8', form: 'absolute', bias: 0 },
  [R_X86_64.PC8]: { name: 'R_X86_64_PC8', form: 'pc-relative', bias: 'instruction-end' },
  [R_X86_64.PC64]: { name: 'R_X86_64_PC64', form: 'pc-relative', bias: 'instruction-end', bytes: 8 },
  [R_X86_64.GOTPCRELX]: { name: 'R_X86_64_GOTPCRELX', form: 'got', bias: 'instruction-end' },
  [R_X86_64.REX_GOTPCRELX]: { name: 'R_X86_64_REX_GOTPCRELX', form: 'got', bias: 'instruction-end' },
};

export function relocationOf(type: number): RelocationKind | undefined {
  return table[type];
}

/** Direct branches of x86: the assembler picks a short or a long form by the distance, which is no difference of the code. */

export interface Branch {
  /** `call`, `jmp`, or `j` and the number of the condition. */
  readonly kind: string;
  /** Offset of the displacement from the start of the instruction, and its size. */
  readonly field: number;
  readonly size: 1 | 4;
}

/** What kind of direct branch begins at `at`; undefined for all other instructions. */
export function branchAt(bytes: Uint8Array, at: number, length: number): Branch | undefined {
  let opcode = at;
  while (opcode < at + length && (bytes[opcode] === 0x2e || bytes[opcode] === 0x3e)) opcode++;
  const prefix = opcode - at;
  const byte = bytes[opcode] ?? 0;
  if (byte === 0xe8 && length === prefix + 5) return { kind: 'call', field: prefix + 1, size: 4 };
  if (byte === 0xe9 && length === prefix + 5) return { kind: 'jmp', field: prefix + 1, size: 4 };
  if (byte === 0xeb) return { kind: 'jmp', field: prefix + 1, size: 1 };
  if (byte >> 4 === 0x7) return { kind: `j${byte & 15}`, field: prefix + 1, size: 1 };
  const second = bytes[opcode + 1] ?? 0;
  if (byte === 0x0f && second >> 4 === 0x8) return { kind: `j${second & 15}`, field: prefix + 2, size: 4 };
  return undefined;
}

/** True for the one- and multi-byte NOPs that compilers and the assembler put in. */
export function isNop(bytes: Uint8Array, at: number, length: number): boolean {
  let opcode = at;
  while (opcode < at + length && (bytes[opcode] === 0x66 || bytes[opcode] === 0x2e)) opcode++;
  if (bytes[opcode] === 0x90) return opcode + 1 === at + length;
  return bytes[opcode] === 0x0f && bytes[opcode + 1] === 0x1f;
}

/** What fills the space between and inside functions on x86-64. */

/**
 * Bytes of the NOP at `at`: 66 or 2E any number of times, then 90 or 0F 1F /0, as compilers and the assembler put them in;
 * 0 for anything else and for one that does not end before `end`.
 */
export function nopLength(bytes: Uint8Array, at: number, end: number): number {
  let opcode = at;
  while (opcode < end && (bytes[opcode] === 0x66 || bytes[opcode] === 0x2e)) opcode++;
  const length = bytes[opcode] === 0x90 ? opcode - at + 1 : longNopLength(bytes, at, opcode);
  return at + length > end ? 0 : length;
}

function longNopLength(bytes: Uint8Array, at: number, opcode: number): number {
  if (bytes[opcode] !== 0x0f || bytes[opcode + 1] !== 0x1f) return 0;
  const modrm = bytes[opcode + 2] ?? 0xff;
  const sib = (modrm & 7) === 4 ? 1 : 0;
  const displacement = [0, 1, 4, 0][modrm >> 6] ?? 0;
  return opcode - at + 3 + sib + displacement;
}

/** True if the bytes from `start` to `end` are INT3, zeros and NOPs. */
export function isPadding(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; ) {
    const byte = bytes[at];
    const length = byte === 0xcc || byte === 0x00 ? 1 : nopLength(bytes, at, end);
    if (length === 0) return false;
    at += length;
  }
  return true;
}

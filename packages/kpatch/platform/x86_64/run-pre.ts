/** Run-pre match on x86-64: the assembler picks a short or a long branch by the distance, which is no difference of the code. */
import { type Branch, type LinkedField, plainField, type RunPreRules } from '../common/run-pre.ts';
import { nopLength } from './padding.ts';
import { R_X86_64 } from './relocations.ts';

/** A field at the end of its instruction, which counts from there: 4 more than from itself. */
const distance = plainField(4, true, true, 4);

const fields: Readonly<Record<number, LinkedField>> = {
  [R_X86_64[64]]: plainField(8, true, false),
  [R_X86_64.PC32]: distance,
  [R_X86_64.PLT32]: distance,
  [R_X86_64[32]]: plainField(4, true, false),
  [R_X86_64['32S']]: plainField(4, true, false),
  [R_X86_64.PC64]: plainField(8, true, true, 4),
};

export const runPre: RunPreRules = {
  field: (type) => fields[type],
  branchAt,
  isNop: (bytes, at, length) => nopLength(bytes, at, at + length) === length,
};

function branchAt(bytes: Uint8Array, at: number, length: number): Branch | undefined {
  let opcode = at;
  while (opcode < at + length && (bytes[opcode] === 0x2e || bytes[opcode] === 0x3e)) opcode++;
  const prefix = opcode - at;
  const byte = bytes[opcode] ?? 0;
  if (byte === 0xe8 && length === prefix + 5) return long(bytes, at, 'call', prefix + 1);
  if (byte === 0xe9 && length === prefix + 5) return long(bytes, at, 'jmp', prefix + 1);
  if (byte === 0xeb) return short(bytes, at, 'jmp', prefix + 1);
  if (byte >> 4 === 0x7) return short(bytes, at, `j${byte & 15}`, prefix + 1);
  const second = bytes[opcode + 1] ?? 0;
  if (byte === 0x0f && second >> 4 === 0x8) return long(bytes, at, `j${second & 15}`, prefix + 2);
  return undefined;
}

function long(bytes: Uint8Array, start: number, kind: string, at: number): Branch | undefined {
  if (start + at + 4 > bytes.length) return undefined;
  const value = Number(distance.value(bytes, start + at));
  return { kind, jump: kind === 'jmp', at, field: distance, distance: at + 4 + value };
}

function short(bytes: Uint8Array, start: number, kind: string, at: number): Branch {
  return { kind, jump: kind === 'jmp', at, distance: at + 1 + (((bytes[start + at] ?? 0) << 24) >> 24) };
}

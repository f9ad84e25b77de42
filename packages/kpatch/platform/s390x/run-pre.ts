/**
 * Run-pre match on s390x. gcc chooses the forms of branches itself, so linking changes none; fields ending in DBL count halfwords
 * from their instruction, which begins two bytes before. Code loads addresses from the GOT (-fPIC, since Linux 6.10 in all of the
 * kernel); where the linker knows them it computes them instead: LGRL becomes LARL (binutils, bfd/elf64-s390.c,
 * elf_s390_relocate_section).
 */
import { type Branch, type LinkedField, plainField, type Rewritten, type RunPreRules } from '../common/run-pre.ts';
import { R_390 } from './relocations.ts';

/** Bytes from an instruction to its field, where the field is at byte 2. */
const OPCODE = 2;

const far = halfwords(4);
const near = halfwords(2);

const fields: Readonly<Record<number, LinkedField>> = {
  [R_390[64]]: plainField(8, false, false),
  [R_390.PC32]: plainField(4, false, true),
  [R_390.PC64]: plainField(8, false, true),
  [R_390.PC32DBL]: far,
  [R_390.PLT32DBL]: far,
  [R_390.GOTENT]: { ...far, before: OPCODE, got: true },
  [R_390.PC16DBL]: near,
  [R_390.PLT16DBL]: near,
};

export const runPre: RunPreRules = { field: (type) => fields[type], branchAt, isNop, rewritten, sectionAnchors: true };

function halfwords(size: 2 | 4): LinkedField {
  return {
    size,
    relative: true,
    bias: -OPCODE,
    value(bytes, at) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + at, size);
      return BigInt(size === 2 ? view.getInt16(0) : view.getInt32(0)) * 2n;
    },
  };
}

/** BRASL and BRCL, BRAS and BRC; BRCTG and the like, which loop, are compared as they are. */
function branchAt(bytes: Uint8Array, at: number, length: number): Branch | undefined {
  const [opcode, second] = [bytes[at], bytes[at + 1] ?? 0];
  const low = second & 0xf;
  const wide = opcode === 0xc0 && length === 6;
  if ((!wide && !(opcode === 0xa7 && length === 4)) || (low !== 5 && low !== 4)) return undefined;
  const field = wide ? far : near;
  const distance = Number(field.value(bytes, at + OPCODE));
  const kind = low === 5 ? `call %r${second >> 4}` : `branch ${second >> 4}`;
  return { kind, jump: kind === 'branch 15', at: OPCODE, field, distance };
}

/** BCR 0 (NOPR), BC 0 (NOP), BRC 0 and BRCL 0 (the compiler's and ftrace's long NOP). */
function isNop(bytes: Uint8Array, at: number, length: number): boolean {
  const [opcode, second] = [bytes[at], bytes[at + 1] ?? 0];
  if (length === 2) return opcode === 0x07 && second < 0x10;
  if (length === 4) return (opcode === 0x47 && second < 0x10) || (opcode === 0xa7 && second === 0x04);
  return opcode === 0xc0 && second === 0x04;
}

function rewritten(type: number, ours: Uint8Array, theirs: Uint8Array): Rewritten | undefined {
  const [opcode = 0, second = 0] = ours;
  const loads = opcode === 0xc4 && (second & 0xf) === 8;
  if (type !== R_390.GOTENT || !loads || theirs[0] !== 0xc0 || ((theirs[1] ?? 0) & 0xf) !== 0) return undefined;
  return { bytes: Uint8Array.of(0xc0, second & 0xf0, ...ours.subarray(OPCODE)), direct: true };
}

/**
 * Run-pre match on loongarch64 (ELF for the LoongArch Architecture; LoongArch Reference Manual, volume 1). An address takes two fields:
 * PCALAU12I has the distance of the page, the instruction that uses it the place in the page. Kernels are compiled and linked
 * without relaxation (arch/loongarch/Makefile), so linking changes nothing else.
 */
import { type Branch, type LinkedField, plainField, type RunPreRules } from '../common/run-pre.ts';
import { bytesOfWord, signed, wordAt } from '../common/words.ts';
import { R_LARCH } from './relocations.ts';

const NOP = 0x03400000;
const PAGE = 4096;

const b26 = bits(0x03ffffff, (word) => signed(((word & 0x3ff) << 16) | ((word >>> 10) & 0xffff), 26) * 4);
const b21 = bits(0x03fffc1f, (word) => signed(((word & 0x1f) << 16) | ((word >>> 10) & 0xffff), 21) * 4);
const b16 = bits(0x03fffc00, (word) => signed((word >>> 10) & 0xffff, 16) * 4);

const fields: Readonly<Record<number, LinkedField>> = {
  [R_LARCH[32]]: plainField(4, true, false),
  [R_LARCH[64]]: plainField(8, true, false),
  [R_LARCH['32_PCREL']]: plainField(4, true, true),
  [R_LARCH['64_PCREL']]: plainField(8, true, true),
  [R_LARCH.B16]: b16,
  [R_LARCH.B21]: b21,
  [R_LARCH.B26]: b26,
  [R_LARCH.PCALA_HI20]: { ...bits(0x01ffffe0, (word) => signed((word >>> 5) & 0xfffff, 20) * PAGE), part: 'page' },
  [R_LARCH.PCALA_LO12]: {
    ...bits(0x003ffc00, (word) => signed((word >>> 10) & 0xfff, 12)),
    relative: false,
    part: 'in page',
  },
};

export const runPre: RunPreRules = {
  field: (type) => fields[type],
  branchAt,
  isNop: (bytes, at) => wordAt(bytes, at) === NOP,
  sectionAnchors: true,
};

/** The bits of an instruction; distances count from the instruction itself. */
function bits(mask: number, value: (word: number) => number): LinkedField {
  return {
    size: 4,
    mask: bytesOfWord(mask),
    relative: true,
    bias: 0,
    value: (bytes, at) => BigInt(value(wordAt(bytes, at))),
  };
}

/** B, BL; BEQZ, BNEZ; BEQ to BGEU. What is not the distance makes the kind. */
function branchAt(bytes: Uint8Array, at: number): Branch | undefined {
  const word = wordAt(bytes, at);
  const field = fieldOfBranch(word >>> 26);
  if (field === undefined) return undefined;
  const kind = `branch ${(word & ~wordAt(field.mask!, 0)) >>> 0}`;
  return { kind, jump: word >>> 26 === 0x14, at: 0, field, distance: Number(field.value(bytes, at)) };
}

function fieldOfBranch(opcode: number): LinkedField | undefined {
  if (opcode === 0x14 || opcode === 0x15) return b26;
  if (opcode === 0x10 || opcode === 0x11) return b21;
  return opcode >= 0x16 && opcode <= 0x1b ? b16 : undefined;
}

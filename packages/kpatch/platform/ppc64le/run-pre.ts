/**
 * Run-pre match on ppc64le. An address takes two instructions, which count from the TOC pointer (r2). The linker rewrites such pairs
 * (binutils, bfd/elf64-ppc.c, ppc64_elf_edit_toc and ppc64_elf_relocate_section): where the upper part is zero the first one
 * becomes a NOP and the second one uses r2, and an address that would be loaded from `.toc` is computed. It also arranges `.toc` again.
 */
import type { Branch, LinkedField, Rewritten, RunPreRules } from '../common/run-pre.ts';
import { plainField } from '../common/run-pre.ts';
import { bytesOfWord, signed, wordAt } from '../common/words.ts';
import { R_PPC64 } from './relocations.ts';

const NOP = 0x60000000;
/** `ori 2,2,0`, with which compilers for POWER6 and POWER7 end dispatch groups. */
const GROUP_END = 0x60420000;

const ADDIS = 15;
const ADDI = 14;
const LD = 58;
const TOC_POINTER = 2;

const high = {
  mask: bytesOfWord(0xffff),
  value: (word: number) => signed(word & 0xffff, 16) * 0x10000,
  part: 'high',
} as const;
const low = { mask: bytesOfWord(0xffff), value: (word: number) => signed(word & 0xffff, 16), part: 'low' } as const;
/** The two lowest bits of a DS form belong to the opcode. */
const lowDs = { mask: bytesOfWord(0xfffc), value: (word: number) => signed(word & 0xfffc, 16), part: 'low' } as const;
const far = branchField(0x3fffffc, 26);
const near = branchField(0xfffc, 16);

const fields: Readonly<Record<number, LinkedField>> = {
  [R_PPC64.ADDR64]: plainField(8, true, false),
  [R_PPC64.REL32]: plainField(4, true, true),
  [R_PPC64.REL64]: plainField(8, true, true),
  [R_PPC64.REL24]: far,
  [R_PPC64.REL24_NOTOC]: far,
  [R_PPC64.REL24_P9NOTOC]: far,
  [R_PPC64.REL14]: near,
  [R_PPC64.REL14_BRTAKEN]: near,
  [R_PPC64.REL14_BRNTAKEN]: near,
  [R_PPC64.REL16_HA]: field(high),
  [R_PPC64.REL16_LO]: field(low),
  [R_PPC64.TOC16_HA]: { ...field(high), fromToc: true },
  [R_PPC64.TOC16_LO]: { ...field(low), fromToc: true },
  [R_PPC64.TOC16_LO_DS]: { ...field(lowDs), fromToc: true },
};

export const runPre: RunPreRules = {
  field: (type) => fields[type],
  branchAt,
  isNop: (bytes, at) => wordAt(bytes, at) === NOP || wordAt(bytes, at) === GROUP_END,
  sectionAnchors: true,
  rewritten,
  nop: bytesOfWord(NOP),
  entry: { length: 8, isPassedBy: isTocSetUp },
};

interface Form {
  readonly mask: Uint8Array;
  value(word: number): number;
  readonly part?: 'high' | 'low';
}

/** The field of an instruction. */
function field({ mask, value, part }: Form): LinkedField {
  return {
    size: 4,
    mask,
    relative: true,
    bias: 0,
    ...(part === undefined ? {} : { part }),
    value: (bytes, at) => BigInt(value(wordAt(bytes, at))),
  };
}

function branchField(mask: number, bits: number): LinkedField {
  return { ...field({ mask: bytesOfWord(mask), value: (word) => signed(word & mask, bits) }), branch: true };
}

/** `addis 2,12,…; addi 2,2,…`: the global entry computes the TOC pointer; callers of the same TOC enter behind it. */
function isTocSetUp(bytes: Uint8Array): boolean {
  return wordAt(bytes, 0) >>> 16 === 0x3c4c && wordAt(bytes, 4) >>> 16 === 0x3842;
}

/** B, BL, BC, BCL with a relative target. What is not the distance makes the kind. */
function branchAt(bytes: Uint8Array, at: number): Branch | undefined {
  const word = wordAt(bytes, at);
  const opcode = word >>> 26;
  if ((opcode !== 18 && opcode !== 16) || (word & 2) !== 0) return undefined;
  const linked = opcode === 18 ? far : near;
  const kind = `branch ${(word & ~wordAt(linked.mask!, 0)) >>> 0}`;
  return {
    kind,
    jump: word >>> 26 === 18 && (word & 1) === 0,
    at: 0,
    field: linked,
    distance: Number(linked.value(bytes, at)),
  };
}

function rewritten(type: number, ours: Uint8Array, theirs: Uint8Array): Rewritten | undefined {
  const [mine, other] = [wordAt(ours, 0), wordAt(theirs, 0)];
  if (type === R_PPC64.TOC16_HA) {
    const computesUpper = mine >>> 26 === ADDIS && ((mine >>> 16) & 0x1f) === TOC_POINTER;
    return computesUpper && other === NOP ? { bytes: bytesOfWord(NOP), part: 'gone' } : undefined;
  }
  if (type !== R_PPC64.TOC16_LO && type !== R_PPC64.TOC16_LO_DS) return undefined;
  const alone = ((mine >>> 16) & 0x1f) !== TOC_POINTER && ((other >>> 16) & 0x1f) === TOC_POINTER;
  // LD, not LDU or LWA, which share its first opcode.
  const direct = type === R_PPC64.TOC16_LO_DS && mine >>> 26 === LD && (mine & 3) === 0 && other >>> 26 === ADDI;
  if (!alone && !direct) return undefined;
  const base = alone ? ((mine & ~(0x1f << 16)) | (TOC_POINTER << 16)) >>> 0 : mine;
  // ADDI has a field of 16 bits, LD one of 14: all of theirs belongs to the field.
  const word = direct ? ((base & 0x03ff0000) | (ADDI << 26) | (other & 3)) >>> 0 : base;
  return {
    bytes: bytesOfWord(word),
    ...(alone ? { part: 'alone' as const } : {}),
    ...(direct ? { direct, field: fields[R_PPC64.TOC16_LO]! } : {}),
  };
}

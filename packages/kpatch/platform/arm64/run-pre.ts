/**
 * Run-pre match on aarch64. Linking changes no instruction, only fields. An address takes two of them: ADRP has the distance of the
 * page, the instruction that uses it the place in the page.
 */
import { type Branch, type LinkedField, plainField, type RunPreRules } from '../common/run-pre.ts';
import { bytesOfWord, signed, wordAt } from '../common/words.ts';
import { relocationOf } from './relocations.ts';

const NOP = 0xd503201f;
const PAGE = 4096;

const fields: Readonly<Record<string, LinkedField>> = {
  ABS64: plainField(8, true, false),
  ABS32: plainField(4, true, false),
  PREL64: plainField(8, true, true),
  PREL32: plainField(4, true, true),
  CALL26: bits(0x03ffffff, (word) => signed(word & 0x3ffffff, 26) * 4),
  JUMP26: bits(0x03ffffff, (word) => signed(word & 0x3ffffff, 26) * 4),
  CONDBR19: bits(0x00ffffe0, distance19),
  LD_PREL_LO19: bits(0x00ffffe0, distance19),
  TSTBR14: bits(0x0007ffe0, (word) => signed((word >>> 5) & 0x3fff, 14) * 4),
  ADR_PREL_LO21: bits(0x60ffffe0, distance21),
  ADR_PREL_PG_HI21: page(),
  ADR_PREL_PG_HI21_NC: page(),
  ADD_ABS_LO12_NC: inPage(0),
  LDST8_ABS_LO12_NC: inPage(0),
  LDST16_ABS_LO12_NC: inPage(1),
  LDST32_ABS_LO12_NC: inPage(2),
  LDST64_ABS_LO12_NC: inPage(3),
  LDST128_ABS_LO12_NC: inPage(4),
};

export const runPre: RunPreRules = {
  field: (type) => fields[relocationOf(type)?.name.replace('R_AARCH64_', '') ?? ''],
  branchAt,
  isNop: (bytes, at) => wordAt(bytes, at) === NOP,
  sectionAnchors: true,
};

/** The bits of an instruction; distances count from the instruction itself. */
function bits(mask: number, value: (word: number) => number, part?: LinkedField['part']): LinkedField {
  return {
    size: 4,
    mask: bytesOfWord(mask),
    relative: true,
    bias: 0,
    ...(part === undefined ? {} : { part }),
    value: (bytes, at) => BigInt(value(wordAt(bytes, at))),
  };
}

/**
 * ADRP. For processors with erratum 843419 the linker (--fix-cortex-a53-843419, CONFIG_ARM64_ERRATUM_843419) makes ADR of those at the end
 * of a page where it reaches: bit 31 is 0 then, and the distance is that of the page's first byte from the instruction.
 */
function page(): LinkedField {
  const field = bits(0xe0ffffe0, () => 0, 'page');
  return {
    ...field,
    value(bytes, at, place = 0n) {
      const word = wordAt(bytes, at);
      const distance = BigInt(distance21(word));
      return word >>> 31 === 1 ? distance * BigInt(PAGE) : distance + (place % BigInt(PAGE));
    },
  };
}

function inPage(scale: number): LinkedField {
  return { ...bits(0x003ffc00, (word) => ((word >>> 10) & 0xfff) << scale, 'in page'), relative: false };
}

function distance19(word: number): number {
  return signed((word >>> 5) & 0x7ffff, 19) * 4;
}

function distance21(word: number): number {
  return signed((((word >>> 5) & 0x7ffff) << 2) | ((word >>> 29) & 3), 21);
}

/** B, BL, B.cond, CBZ, CBNZ, TBZ, TBNZ. What is not the distance makes the kind. */
function branchAt(bytes: Uint8Array, at: number): Branch | undefined {
  const word = wordAt(bytes, at);
  const name = branchName(word);
  if (name === undefined) return undefined;
  const field = fields[name]!;
  const kind = `${name} ${(word & ~wordAt(field.mask!, 0)) >>> 0}`;
  return { kind, jump: name === 'JUMP26', at: 0, field, distance: Number(field.value(bytes, at)) };
}

function branchName(word: number): string | undefined {
  const top = word >>> 26;
  if (top === 0b000101) return 'JUMP26';
  if (top === 0b100101) return 'CALL26';
  if (word >>> 24 === 0x54 || (word & 0x7e000000) === 0x34000000) return 'CONDBR19';
  return (word & 0x7e000000) === 0x36000000 ? 'TSTBR14' : undefined;
}

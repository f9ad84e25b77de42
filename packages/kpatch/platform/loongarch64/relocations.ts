/**
 * Relocation types of loongarch64 (ELF for the LoongArch Architecture). All fields count from themselves. Up to binutils 2.38
 * code was relocated by little programs for a stack machine (SOP_*), several relocations at one place.
 */
import { relocationsOf } from '../ordinary.ts';

export const R_LARCH = {
  NONE: 0,
  '32': 1,
  '64': 2,
  SOP_PUSH_PCREL: 22,
  SOP_PUSH_PLT_PCREL: 29,
  ADD32: 50,
  SUB32: 55,
  B16: 64,
  B21: 65,
  B26: 66,
  PCALA_HI20: 71,
  PCALA_LO12: 72,
  GOT_PC_HI20: 75,
  GOT_PC_LO12: 76,
  '32_PCREL': 99,
  RELAX: 100,
  ALIGN: 102,
  '64_PCREL': 109,
  CALL36: 110,
} as const;

const absolute: Readonly<Record<number, string>> = {
  1: '32',
  2: '64',
  23: 'SOP_PUSH_ABSOLUTE',
  47: 'ADD8',
  48: 'ADD16',
  49: 'ADD24',
  50: 'ADD32',
  51: 'ADD64',
  67: 'ABS_HI20',
  68: 'ABS_LO12',
  69: 'ABS64_LO20',
  70: 'ABS64_HI12',
  105: 'ADD6',
  107: 'ADD_ULEB128',
};

const minus: Readonly<Record<number, string>> = {
  52: 'SUB8',
  53: 'SUB16',
  54: 'SUB24',
  55: 'SUB32',
  56: 'SUB64',
  106: 'SUB6',
  108: 'SUB_ULEB128',
};

const relative: Readonly<Record<number, string>> = {
  22: 'SOP_PUSH_PCREL',
  29: 'SOP_PUSH_PLT_PCREL',
  64: 'B16',
  65: 'B21',
  66: 'B26',
  71: 'PCALA_HI20',
  72: 'PCALA_LO12',
  73: 'PCALA64_LO20',
  74: 'PCALA64_HI12',
  99: '32_PCREL',
  103: 'PCREL20_S2',
  109: '64_PCREL',
  110: 'CALL36',
};

const got: Readonly<Record<number, string>> = {
  25: 'SOP_PUSH_GPREL',
  75: 'GOT_PC_HI20',
  76: 'GOT_PC_LO12',
  77: 'GOT64_PC_LO20',
  78: 'GOT64_PC_HI12',
  79: 'GOT_HI20',
  80: 'GOT_LO12',
  81: 'GOT64_LO20',
  82: 'GOT64_HI12',
};

const marks: Readonly<Record<number, string>> = {
  0: 'NONE',
  20: 'MARK_LA',
  21: 'MARK_PCREL',
  24: 'SOP_PUSH_DUP',
  30: 'SOP_ASSERT',
  31: 'SOP_NOT',
  32: 'SOP_SUB',
  33: 'SOP_SL',
  34: 'SOP_SR',
  35: 'SOP_ADD',
  36: 'SOP_AND',
  37: 'SOP_IF_ELSE',
  38: 'SOP_POP_32_S_10_5',
  39: 'SOP_POP_32_U_10_12',
  40: 'SOP_POP_32_S_10_12',
  41: 'SOP_POP_32_S_10_16',
  42: 'SOP_POP_32_S_10_16_S2',
  43: 'SOP_POP_32_S_5_20',
  44: 'SOP_POP_32_S_0_5_10_16_S2',
  45: 'SOP_POP_32_S_0_10_10_16_S2',
  46: 'SOP_POP_32_U',
  100: 'RELAX',
  101: 'DELETE',
  102: 'ALIGN',
  104: 'CFA',
};

/** Bytes of the fields in data, by type. */
const bytes: Readonly<Record<number, 4 | 8>> = { 1: 4, 2: 8, 50: 4, 51: 8, 55: 4, 56: 8, 99: 4, 109: 8 };

export const relocationOf = relocationsOf(
  'R_LARCH_',
  { absolute, 'pc-relative': relative, minus, got, none: marks },
  bytes,
);

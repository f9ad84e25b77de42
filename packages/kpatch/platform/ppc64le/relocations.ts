/**
 * Relocation types of ppc64le (64-Bit ELF V2 ABI Specification, Power Architecture, section 3.5). All fields count from
 * themselves. TOC16 types count from the TOC pointer, which code has in r2.
 */
import { relocationsOf } from '../ordinary.ts';

export const R_PPC64 = {
  NONE: 0,
  REL24: 10,
  REL14: 11,
  REL14_BRTAKEN: 12,
  REL14_BRNTAKEN: 13,
  REL32: 26,
  ADDR64: 38,
  REL64: 44,
  REL24_NOTOC: 116,
  REL24_P9NOTOC: 124,
  TOC16: 47,
  TOC16_LO: 48,
  TOC16_HA: 50,
  TOC16_DS: 63,
  TOC16_LO_DS: 64,
  REL16_LO: 250,
  REL16_HA: 252,
} as const;

const absolute: Readonly<Record<number, string>> = {
  1: 'ADDR32',
  2: 'ADDR24',
  3: 'ADDR16',
  4: 'ADDR16_LO',
  5: 'ADDR16_HI',
  6: 'ADDR16_HA',
  7: 'ADDR14',
  8: 'ADDR14_BRTAKEN',
  9: 'ADDR14_BRNTAKEN',
  24: 'UADDR32',
  25: 'UADDR16',
  38: 'ADDR64',
  39: 'ADDR16_HIGHER',
  40: 'ADDR16_HIGHERA',
  41: 'ADDR16_HIGHEST',
  42: 'ADDR16_HIGHESTA',
  43: 'UADDR64',
  56: 'ADDR16_DS',
  57: 'ADDR16_LO_DS',
  110: 'ADDR16_HIGH',
  111: 'ADDR16_HIGHA',
};

const relative: Readonly<Record<number, string>> = {
  10: 'REL24',
  11: 'REL14',
  12: 'REL14_BRTAKEN',
  13: 'REL14_BRNTAKEN',
  26: 'REL32',
  44: 'REL64',
  116: 'REL24_NOTOC',
  124: 'REL24_P9NOTOC',
  132: 'PCREL34',
  249: 'REL16',
  250: 'REL16_LO',
  251: 'REL16_HI',
  252: 'REL16_HA',
};

const toc: Readonly<Record<number, string>> = {
  47: 'TOC16',
  48: 'TOC16_LO',
  49: 'TOC16_HI',
  50: 'TOC16_HA',
  51: 'TOC',
  63: 'TOC16_DS',
  64: 'TOC16_LO_DS',
};

const got: Readonly<Record<number, string>> = {
  14: 'GOT16',
  15: 'GOT16_LO',
  16: 'GOT16_HI',
  17: 'GOT16_HA',
  58: 'GOT16_DS',
  59: 'GOT16_LO_DS',
  133: 'GOT_PCREL34',
};

/** Marks for the linker: where the TOC pointer is saved, what belongs to a call, the entry that sets the TOC pointer. */
const marks: Readonly<Record<number, string>> = {
  0: 'NONE',
  109: 'TOCSAVE',
  118: 'ENTRY',
  119: 'PLTSEQ',
  120: 'PLTCALL',
  123: 'PCREL_OPT',
};

/** Bytes of the fields in data, by type. */
const bytes: Readonly<Record<number, 4 | 8>> = { 1: 4, 24: 4, 26: 4, 38: 8, 43: 8, 44: 8 };

export const relocationOf = relocationsOf(
  'R_PPC64_',
  { absolute, 'pc-relative': relative, toc, got, none: marks },
  bytes,
);

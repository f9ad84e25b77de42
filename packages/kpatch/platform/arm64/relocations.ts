/** Relocation types of aarch64 (ELF for the Arm 64-bit Architecture, section 5.7). All fields count from themselves. */
import { relocationsOf } from '../ordinary.ts';

export const R_AARCH64 = {
  NONE: 0,
  ABS64: 257,
  CONDBR19: 280,
  TSTBR14: 279,
  JUMP26: 282,
  CALL26: 283,
  PLT32: 314,
} as const;

const absolute: Readonly<Record<number, string>> = {
  257: 'ABS64',
  258: 'ABS32',
  259: 'ABS16',
  263: 'MOVW_UABS_G0',
  264: 'MOVW_UABS_G0_NC',
  265: 'MOVW_UABS_G1',
  266: 'MOVW_UABS_G1_NC',
  267: 'MOVW_UABS_G2',
  268: 'MOVW_UABS_G2_NC',
  269: 'MOVW_UABS_G3',
  270: 'MOVW_SABS_G0',
  271: 'MOVW_SABS_G1',
  272: 'MOVW_SABS_G2',
  277: 'ADD_ABS_LO12_NC',
  278: 'LDST8_ABS_LO12_NC',
  284: 'LDST16_ABS_LO12_NC',
  285: 'LDST32_ABS_LO12_NC',
  286: 'LDST64_ABS_LO12_NC',
  299: 'LDST128_ABS_LO12_NC',
};

const relative: Readonly<Record<number, string>> = {
  260: 'PREL64',
  261: 'PREL32',
  262: 'PREL16',
  273: 'LD_PREL_LO19',
  274: 'ADR_PREL_LO21',
  275: 'ADR_PREL_PG_HI21',
  276: 'ADR_PREL_PG_HI21_NC',
  279: 'TSTBR14',
  280: 'CONDBR19',
  282: 'JUMP26',
  283: 'CALL26',
  287: 'MOVW_PREL_G0',
  288: 'MOVW_PREL_G0_NC',
  289: 'MOVW_PREL_G1',
  290: 'MOVW_PREL_G1_NC',
  291: 'MOVW_PREL_G2',
  292: 'MOVW_PREL_G2_NC',
  293: 'MOVW_PREL_G3',
  314: 'PLT32',
};

const got: Readonly<Record<number, string>> = {
  309: 'GOT_LD_PREL19',
  311: 'ADR_GOT_PAGE',
  312: 'LD64_GOT_LO12_NC',
};

const marks: Readonly<Record<number, string>> = { 0: 'NONE', 256: 'NONE' };

/** Bytes of the fields in data, by type. */
const bytes: Readonly<Record<number, 4 | 8>> = { 257: 8, 258: 4, 260: 8, 261: 4 };

export const relocationOf = relocationsOf('R_AARCH64_', { absolute, 'pc-relative': relative, got, none: marks }, bytes);

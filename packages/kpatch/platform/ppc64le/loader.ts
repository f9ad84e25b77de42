/** arch/powerpc/kernel/module_64.c, apply_relocate_add (Linux 6.12). */
import { type LoaderRules, typesNamed } from '../loader.ts';
import { relocationOf } from './relocations.ts';

const accepted =
  /^(?:ADDR32|ADDR64|ENTRY|(?:GOT_)?PCREL34|REL16_HA|REL16_LO|REL24|REL24_NOTOC|REL32|REL64|TOC|TOC16(?:_DS|_HA|_LO|_LO_DS)?|TOCSAVE)$/;

export const loader: LoaderRules = { relocations: typesNamed(relocationOf, 'R_PPC64_', accepted), early: {} };

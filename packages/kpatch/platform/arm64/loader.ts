/** arch/arm64/kernel/module.c, apply_relocate_add; the same in Linux 4.19 to 6.12. */
import { type LoaderRules, typesNamed } from '../loader.ts';
import { relocationOf } from './relocations.ts';

const accepted =
  /^(?:NONE|(?:ABS|PREL)(?:16|32|64)|MOVW_[USP]\w+|LD_PREL_LO19|ADR_PREL_(?:LO21|PG_HI21|PG_HI21_NC)|ADD_ABS_LO12_NC|LDST\d+_ABS_LO12_NC|TSTBR14|CONDBR19|JUMP26|CALL26)$/;

export const loader: LoaderRules = { relocations: typesNamed(relocationOf, 'R_AARCH64_', accepted), early: {} };

/** arch/loongarch/kernel/module.c, reloc_rela_handlers (Linux 6.12). */
import { type LoaderRules, typesNamed } from '../loader.ts';
import { relocationOf } from './relocations.ts';

const accepted =
  /^(?:NONE|32|64|32_PCREL|64_PCREL|MARK_LA|MARK_PCREL|SOP_(?:PUSH_(?:PCREL|ABSOLUTE|DUP|PLT_PCREL)|SUB|SL|SR|ADD|AND|IF_ELSE|POP_\w+)|(?:ADD|SUB)(?:8|16|24|32|64)|B26|PCALA_\w+|PCALA64_\w+|GOT_PC_(?:HI20|LO12))$/;

export const loader: LoaderRules = { relocations: typesNamed(relocationOf, 'R_LARCH_', accepted), early: {} };

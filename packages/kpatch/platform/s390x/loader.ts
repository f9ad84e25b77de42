/** arch/s390/kernel/module.c, apply_rela (Linux 6.12). Types that compilers do not use for kernels are not in the table. */
import { type LoaderRules, typesNamed } from '../loader.ts';
import { relocationOf } from './relocations.ts';

const accepted = /^(?:NONE|8|12|16|20|32|64|PC16|PC32|PC64|(?:PC|PLT)(?:16|32)DBL|GOTENT)$/;

export const loader: LoaderRules = { relocations: typesNamed(relocationOf, 'R_390_', accepted), early: {} };

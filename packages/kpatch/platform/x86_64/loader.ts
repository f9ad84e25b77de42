/** arch/x86/kernel/module.c. */
import type { LoaderRules } from '../loader.ts';
import { R_X86_64 } from './relocations.ts';

export const loader: LoaderRules = {
  relocations: new Set([
    R_X86_64.NONE,
    R_X86_64[64],
    R_X86_64.PC32,
    R_X86_64.PLT32,
    R_X86_64[32],
    R_X86_64['32S'],
    R_X86_64.PC64,
  ]),
  // struct paravirt_patch_site: the linker leaves out the padding of the last one.
  early: { '.parainstructions': 16, '.altinstructions': 1 },
  // "Invalid relocation target, existing value is nonzero", since 4.5 (eda9cec4c9a1)
  fieldSizes: { none: ['R_X86_64_NONE'], eight: ['R_X86_64_64', 'R_X86_64_PC64'] },
};

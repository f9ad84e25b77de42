/** Tables of the x86-64 kernel whose entries belong to functions. Sizes from arch/x86/include/asm of the versions named. */

import {
  alternatives,
  commonTables,
  longs,
  oneOf,
  orcTable,
  type SpecialSection,
  sites,
  staticCallSites,
  words,
} from '../common/special.ts';
import { type KernelRules, since } from '../kernel-rules.ts';

/**
 * The feature, then the lengths; packed. 6.3 (5d1dd961e743): 32 bits of feature and flags, 14 bytes. 5.13 (23c1ad538f4f): the
 * padding's length went, 12 bytes. 4.0 (4332195c5615): it had come, 13 bytes. Before: 12 bytes as since 5.13.
 */
function alternativesOf(kernel: KernelRules): SpecialSection {
  const forms = [alternatives(14, 13), alternatives(12, 11), alternatives(13, 11)];
  return oneOf(forms, since(kernel, 6, 3) ? 0 : since(kernel, 5, 13) || !since(kernel, 4, 0) ? 1 : 2);
}

/**
 * struct paravirt_patch_site, until 6.7: the address, type and length, and until 5.0 two bytes of clobbers, aligned to 8.
 * Nothing fills up the last one.
 */
const paravirtSites: SpecialSection = {
  name: '.parainstructions',
  size: 16,
  least: 10,
  location: 0,
  fields: longs(0),
  struct: 'paravirt_patch_site',
};

export function specialSections(kernel: KernelRules): readonly SpecialSection[] {
  const common = {
    kernel,
    relativeBugs: true,
    exceptions: since(kernel, 4, 6) ? ('distances and more' as const) : ('distances' as const), // 548acf19234d: the handler's field came in 4.6
    jumpLabelSize: since(kernel, 4, 20) ? 16 : 24, // 9fc0f798ab4d: relative entries since 4.20
  };
  return [
    alternativesOf(kernel),
    paravirtSites,
    { name: '.smp_locks', size: 4, location: 0, fields: words(0) },
    ...commonTables(common),
    staticCallSites,
    orcTable(6), // in all versions so far
    sites('.retpoline_sites'),
    sites('.return_sites'),
    sites('.call_sites'),
    sites('.cfi_sites'),
    sites('.kcfi_traps'),
    sites('__kcfi_traps'), // as a linked module has it
    { name: '.ibt_endbr_seal', size: 4, location: 0, fields: words(0), derived: true, seals: true },
  ];
}

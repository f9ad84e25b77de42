/** Tables of the s390x kernel whose entries belong to functions. Sizes from arch/s390/include/asm of the versions named. */

import {
  alternatives,
  commonTables,
  type ExceptionForm,
  longs,
  oneOf,
  type SpecialSection,
  words,
} from '../common/special.ts';
import { type KernelRules, since } from '../kernel-rules.ts';

/**
 * The facility, then lengths. 6.11: 32 bits of feature. 5.18: replacements are as long as what they replace; before, both lengths
 * were there. Packed.
 */
function alternativesOf(kernel: KernelRules): SpecialSection {
  const forms = [13, 11, 12].map((size) => alternatives(size, size - 1));
  return oneOf(forms, since(kernel, 6, 11) ? 0 : since(kernel, 5, 18) ? 1 : 2);
}

/** What `-mindirect-branch-table` of gcc, and the macros of asm/nospec-insn.h, list: places of expolines. */
const expolines = [
  '.s390_indirect_jump',
  '.s390_indirect_call',
  '.s390_indirect_branches',
  '.s390_return_mem',
  '.s390_return_reg',
  '.s390_return',
  '.nospec_call_table',
  '.nospec_return_table',
];

/** 5.18: type and data, 12 bytes. 5.8 (05a68e892e89): a handler, 16 bytes. Before: 8. */
function exceptionsOf(kernel: KernelRules): ExceptionForm {
  if (since(kernel, 5, 18)) return 'distances and more';
  return since(kernel, 5, 8) ? 'distances and a long handler' : 'distances';
}

export function specialSections(kernel: KernelRules): readonly SpecialSection[] {
  const common = {
    kernel,
    relativeBugs: true,
    exceptions: exceptionsOf(kernel),
    jumpLabelSize: since(kernel, 5, 0) ? 16 : 24, // 13ddb52c165b: relative entries since 5.0
  };
  return [
    alternativesOf(kernel),
    ...commonTables(common),
    ...expolines.map((name) => ({ name, size: 4, location: 0, fields: words(0) })),
    // -mstack-protector-guard-record: where the guard's address is loaded, which the kernel rewrites (pointers, gcc's s390.cc).
    { name: '__stack_protector_loc', size: 8, location: 0, fields: longs(0) },
  ];
}

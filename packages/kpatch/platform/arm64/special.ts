/**
 * Tables of the aarch64 kernel whose entries belong to functions. Sizes from arch/arm64/include/asm of the versions named.
 */

import { alternatives, commonTables, type SpecialSection, sites } from '../common/special.ts';
import { type KernelRules, since } from '../kernel-rules.ts';

export function specialSections(kernel: KernelRules): readonly SpecialSection[] {
  const common = {
    kernel,
    relativeBugs: true,
    exceptions: since(kernel, 5, 16) ? ('distances and more' as const) : ('distances' as const), // d6e2cc564775: type and data came in 5.16
    jumpLabelSize: since(kernel, 4, 20) ? 16 : 24, // c296146c058c: relative entries since 4.20
  };
  return [
    // 16 bits of capability, then the two lengths. The replacement is behind the function in its own section (.subsection 1)
    // since 5.13, in .altinstr_replacement before.
    alternatives(12, 11),
    ...commonTables(common),
    sites('.kcfi_traps'),
    sites('__kcfi_traps'), // as a linked module has it
  ];
}

/** Tables of the loongarch64 kernel whose entries belong to functions. Sizes from arch/loongarch/include/asm. */

import { alternatives, commonTables, orcTable, type SpecialSection } from '../common/special.ts';
import { type KernelRules, since } from '../kernel-rules.ts';

export function specialSections(kernel: KernelRules): readonly SpecialSection[] {
  const common = {
    kernel,
    relativeBugs: true,
    exceptions: since(kernel, 6, 2) ? ('distances and more' as const) : ('distances' as const), // type and data since 6.2
    jumpLabelSize: 16,
  };
  return [
    // Since 6.2: 16 bits of feature, then the two lengths. As on aarch64 the replacement is after the function in its own
    // section.
    alternatives(12, 11),
    ...commonTables(common),
    orcTable(12), // asm/orc_types.h, since 6.9
  ];
}

/** Tables of the loongarch64 kernel whose entries belong to functions. Sizes from arch/loongarch/include/asm. */
import { type KernelRules, since } from '../kernel-rules.ts';
import {
  bugTable,
  exceptionTable,
  jumpTable,
  mcountTable,
  optional,
  patchableEntries,
  printkIndex,
  type SpecialSection,
  words,
} from '../special.ts';

/** Addresses of 4 bytes; an entry of .orc_unwind is 12 bytes (asm/orc_types.h, since 6.9). */
const orc: SpecialSection = {
  name: '.orc_unwind_ip',
  size: 4,
  location: 0,
  fields: words(0),
  derived: true,
  parallel: { name: '.orc_unwind', size: 12 },
};

export function specialSections(kernel: KernelRules): readonly SpecialSection[] {
  const common = {
    kernel,
    relativeBugs: true,
    exceptions: since(kernel, 6, 2) ? ('distances and more' as const) : ('distances' as const), // type and data since 6.2
    jumpLabelSize: 16,
  };
  return [
    // struct alt_instr, since 6.2: two 32-bit offsets, 16 bits of feature, the two lengths. As on aarch64 the replacement
    // is after the function in its own section.
    {
      name: '.altinstructions',
      size: 12,
      location: 0,
      fields: [...words(0), ...optional(...words(4))],
      struct: 'alt_instr',
      replacement: { field: 4, length: 11 },
    },
    bugTable(common),
    exceptionTable(common),
    jumpTable(common),
    mcountTable,
    patchableEntries,
    printkIndex,
    orc,
  ];
}

/** Tables of the x86-64 kernel whose entries belong to functions. Sizes from arch/x86/include/asm of the versions named. */
import { type KernelRules, since } from '../kernel-rules.ts';
import {
  bugTable,
  exceptionTable,
  jumpTable,
  mcountTable,
  patchableEntries,
  printkIndex,
  type SpecialSection,
  sites,
  staticCallSites,
} from '../special.ts';

/** struct alt_instr: two 32-bit offsets, then the feature, then the lengths; packed. */
function alternatives(kernel: KernelRules): SpecialSection {
  // 6.3 (5d1dd961e743): 32 bits of feature and flags, 14 bytes. 5.13 (23c1ad538f4f): the padding's length went, 12 bytes.
  // 4.0 (4332195c5615): it had come, 13 bytes.
  const version = (size: number, length: number): SpecialSection => ({
    name: '.altinstructions',
    size,
    location: 0,
    replacement: { field: 4, length },
  });
  const [newest, middle, old] = [version(14, 13), version(12, 11), version(13, 11)];
  if (since(kernel, 6, 3)) return { ...newest, others: [middle, old] };
  return since(kernel, 5, 13) ? { ...middle, others: [newest, old] } : { ...old, others: [middle, newest] };
}

/** ORC entries are 6 bytes in all versions so far, the addresses beside them 4. */
const orc: SpecialSection = {
  name: '.orc_unwind_ip',
  size: 4,
  location: 0,
  derived: true,
  parallel: { name: '.orc_unwind', size: 6 },
};

export function specialSections(kernel: KernelRules): readonly SpecialSection[] {
  const common = {
    kernel,
    relativeBugs: true,
    exceptionSize: since(kernel, 4, 6) ? 12 : 8, // 548acf19234d: the handler's field came in 4.6
    jumpLabelSize: since(kernel, 4, 20) ? 16 : 24, // 9fc0f798ab4d: relative entries since 4.20
  };
  return [
    alternatives(kernel),
    { name: '.parainstructions', size: 16, location: 0 }, // struct paravirt_patch_site; gone in 6.8
    { name: '.smp_locks', size: 4, location: 0 },
    bugTable(common),
    exceptionTable(common),
    jumpTable(common),
    staticCallSites,
    mcountTable,
    patchableEntries,
    printkIndex,
    orc,
    sites('.retpoline_sites'),
    sites('.return_sites'),
    sites('.call_sites'),
    sites('.cfi_sites'),
    sites('.kcfi_traps'),
    sites('__kcfi_traps'), // as a linked module has it
    { name: '.ibt_endbr_seal', size: 4, location: 0, derived: true, seals: true },
  ];
}

/**
 * Tables of the ppc64le kernel whose entries belong to functions. Sizes from arch/powerpc/include/asm of the versions
 * named.
 */

import { commonTables, longs, optional, type SpecialSection } from '../common/special.ts';
import { type KernelRules, since } from '../kernel-rules.ts';

/**
 * asm/feature-fixups.h, the same since 2.6: mask, value, then the distances of start, end, start and end of the
 * alternative, all of 8 bytes and all from the start of the entry. The alternatives are in `__ftr_alt_*`.
 */
const features = ['__ftr_fixup', '__mmu_ftr_fixup', '__fw_ftr_fixup'];
const FEATURE_SIZE = 48;

/** One distance of 8 bytes each. */
const places = [
  '__lwsync_fixup',
  '__stf_entry_barrier_fixup',
  '__stf_exit_barrier_fixup',
  '__uaccess_flush_fixup',
  '__entry_flush_fixup',
  '__scv_entry_flush_fixup',
  '__rfi_flush_fixup',
  '__barrier_nospec_fixup',
  '__spec_barrier_fixup',
];

/** Start and end, both counted from the start of the entry. */
const ranges = ['__btb_flush_fixup'];
const RANGE_SIZE = 16;

/** What to add to an addend in a table of these, as their fields count from the start of their entry. */
export function tableBias(section: string, offset: number): number {
  if (features.includes(section)) return -(offset % FEATURE_SIZE);
  return ranges.includes(section) ? -(offset % RANGE_SIZE) : 0;
}

export function specialSections(kernel: KernelRules): readonly SpecialSection[] {
  const common = {
    kernel,
    relativeBugs: since(kernel, 5, 14),
    exceptions: since(kernel, 4, 10) ? ('distances' as const) : ('addresses' as const), // 61a92f703120: relative entries since 4.10
    jumpLabelSize: since(kernel, 5, 14) ? 16 : 24, // b0b3b2c78ec0: relative entries since 5.14
  };
  return [
    ...features.map((name) => ({
      name,
      size: FEATURE_SIZE,
      location: 16,
      fields: [...longs(16, 24), ...optional(...longs(32, 40))],
      struct: 'fixup_entry',
      replacement: { field: 32, end: 40 },
    })),
    ...places.map((name) => ({ name, size: 8, location: 0, fields: longs(0) })),
    ...ranges.map((name) => ({ name, size: RANGE_SIZE, location: 0, fields: longs(0, 8) })),
    ...commonTables(common),
  ];
}

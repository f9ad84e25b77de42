/** x86-64. Instructions are decoded by iced-x86, which is loaded only when a rule needs it. */
import { entryTables, ordinary } from '../ordinary.ts';
import type { BranchField, Platform, Use } from '../platform.ts';
import { boot } from './boot.ts';
import { decoder, disassemble } from './decoder.ts';
import { emulator } from './emulator.ts';
import { listing } from './listing.ts';
import { loader } from './loader.ts';
import { naming } from './naming.ts';
import { isPadding } from './padding.ts';
import { R_X86_64, relocationOf } from './relocations.ts';
import { runPre } from './run-pre.ts';
import { loadRuntimeConstants } from './runtime-const.ts';
import { specialSections } from './special.ts';

/** RDI, RSI, RDX, RCX, R8, R9 by their numbers in the instruction encoding. */
const argumentRegisters = [7, 6, 2, 1, 8, 9];

const ENDBR64 = [0xf3, 0x0f, 0x1e, 0xfa];

export const x86_64: Platform = {
  ...ordinary,
  forModules: loadRuntimeConstants,
  name: 'x86-64',
  machine: 62,
  littleEndian: true,
  address64: R_X86_64[64],
  relocation: relocationOf,
  use,
  prefixOf,
  isLandingPad: (bytes, offset) => ENDBR64.every((byte, index) => bytes[offset + index] === byte),
  isPadding,
  trace: {
    sections: entryTables,
    callees: ['__fentry__'],
    // ENDBR64 (4 bytes) may be before the call; with call padding nothing else comes between.
    before: 0,
    after: 4,
  },
  argumentRegisters,
  decoder,
  branchRelocation,
  startList,
  structureHeaders: ['asm/alternative.h', 'asm/orc_types.h', 'asm/paravirt.h'],
  specialSections,
  disassemble,
  naming,
  boot,
  emulator,
  runPre,
  loader,
  listing,
};

/**
 * A call or jump has its opcode right before the field: E8, E9, or 0F 80 to 0F 8F. A RIP-relative operand has a ModRM byte
 * of 00xxx101 there, so the two cannot be mistaken for each other.
 */
function use(type: number, bytes: Uint8Array, offset: number): Use {
  if (type !== R_X86_64.PC32 && type !== R_X86_64.PLT32) return 'address';
  const before = bytes[offset - 1] ?? 0;
  if (before === 0xe8) return 'call';
  if (before === 0xe9) return 'jump';
  return bytes[offset - 2] === 0x0f && (before & 0xf0) === 0x80 ? 'jump' : 'address';
}

function prefixOf(name: string): string | undefined {
  if (name.startsWith('__pfx_')) return name.slice(6); // objtool --prefix, since 6.2 (9f2899fe36a6)
  return name.startsWith('__cfi_') ? name.slice(6) : undefined; // clang -fsanitize=kcfi, since 6.2
}

/** Drivers of processors and of platforms, IOMMUs, interrupt controllers (arch/x86/kernel/vmlinux.lds.S). */
function startList(section: string): 'init' | 'always' | undefined {
  if (/^\.x86_cpu_dev(?:\..*)?$/.test(section)) return 'init';
  return /^\.(?:x86_intel_mid_dev(?:\..*)?|iommu_table|apicdrivers)$/.test(section) ? 'always' : undefined;
}

function branchRelocation(bytes: Uint8Array, offset: number): BranchField | undefined {
  const opcode = bytes[offset];
  if (opcode === 0xe8 || opcode === 0xe9) return { type: R_X86_64.PLT32, field: offset + 1, addend: -4, size: 4 };
  if (opcode === 0x0f && ((bytes[offset + 1] ?? 0) & 0xf0) === 0x80) {
    return { type: R_X86_64.PLT32, field: offset + 2, addend: -4, size: 4 };
  }
  return undefined;
}

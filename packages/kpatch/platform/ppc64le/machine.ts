/** ppc64le: 64-bit Power, little endian, ELF version 2 ABI. */
import { objdumpFor } from '../common/objdump.ts';
import { bytesOfWord, isFilledWith, wordAt } from '../common/words.ts';
import { entryTables, ordinary } from '../ordinary.ts';
import type { BranchField, Platform, Use } from '../platform.ts';
import { boot } from './boot.ts';
import { decoder } from './decoder.ts';
import { emulator } from './emulator.ts';
import { loader } from './loader.ts';
import { naming } from './naming.ts';
import { R_PPC64, relocationOf } from './relocations.ts';
import { runPre } from './run-pre.ts';
import { smallKernel } from './small-kernel.ts';
import { specialSections, tableBias } from './special.ts';

/** `ori 0,0,0`, `ori 2,2,0` (ends a dispatch group), `ori 31,31,0`. */
const NOPS = [0x60000000, 0x60420000, 0x63ff0000, 0];
/** `ld 2,24(1)`: takes the TOC pointer back from where a call out of the module saved it. */
const RESTORE_TOC = 0xe8410018;

export const ppc64le: Platform = {
  ...ordinary,
  name: 'ppc64le',
  machine: 21,
  littleEndian: true,
  address64: R_PPC64.ADDR64,
  relocation: relocationOf,
  use,
  isPadding: (bytes, start, end) => isFilledWith(NOPS, bytes, start, end),
  localEntry,
  trace: {
    sections: entryTables,
    callees: ['_mcount', '__fentry__'],
    // -mprofile-kernel calls _mcount as the second or third instruction of the local entry; -fpatchable-function-entry
    // (since 6.1) has NOPs there, and with -fpatchable-function-entry=n,m some before the global entry.
    before: 24,
    after: 8,
  },
  argumentRegisters: [3, 4, 5, 6, 7, 8, 9, 10],
  decoder,
  branchRelocation,
  siblingCallProblem:
    'it ends with a jump to another function (a sibling call), after which nothing restores the TOC pointer ' +
    'of the caller; compile with -fno-optimize-sibling-calls',
  nearCall,
  isLinkerSymbol: (name) => name === '.TOC.',
  leadIn: ({ value, other }, relocated) => (localEntry(other) > 0 && value >= 8 && relocated(value - 8) ? 8 : 0),
  tableBias,
  addressList: (section) => section === '.toc',
  structureHeaders: ['asm/feature-fixups.h'],
  specialSections,
  disassemble: objdumpFor({
    programs: ['powerpc64le-linux-gnu-objdump', 'objdump'],
    machine: ['-m', 'powerpc:common64'],
    littleEndian: true,
    unit: 4,
  }),
  naming,
  boot,
  emulator,
  runPre,
  loader,
  // The kernel reaches its data within 2 GiB of its TOC pointer, where modules are not: they load each address from their own .toc.
  // A jump to a function with another TOC pointer would not restore that of the caller.
  moduleFlags: ['-mcmodel=large', '-fno-optimize-sibling-calls'],
  smallKernel,
};

/** The three high bits of st_other: 0 and 1 mean none, n means 2 to the power of n bytes (ABI, section 3.4.1). */
function localEntry(other: number): number {
  const code = other >> 5;
  return code < 2 ? 0 : 1 << code;
}

function isBranch(type: number): boolean {
  return type === R_PPC64.REL24 || type === R_PPC64.REL24_NOTOC || type === R_PPC64.REL24_P9NOTOC;
}

function use(type: number, bytes: Uint8Array, offset: number): Use {
  const conditional = type >= R_PPC64.REL14 && type <= R_PPC64.REL14_BRNTAKEN;
  if (!conditional && !isBranch(type)) return 'address';
  return (wordAt(bytes, offset) & 1) === 1 ? 'call' : 'jump';
}

/**
 * The kernel's module loader sends a call of something outside the module through a stub that changes the TOC pointer, and
 * needs a NOP after the call to put its restoring there. gcc leaves it out where it knows that the callee is in the object.
 */
function nearCall(bytes: Uint8Array, offset: number): string | undefined {
  const word = wordAt(bytes, offset);
  if (word >>> 26 !== 18 || (word & 1) === 0) return undefined;
  const next = offset + 8 <= bytes.length ? wordAt(bytes, offset + 4) : 0;
  if (next === 0x60000000 || next === RESTORE_TOC) return undefined;
  return 'the call has no NOP after it to restore the TOC pointer';
}

function branchRelocation(bytes: Uint8Array, offset: number): BranchField | undefined {
  const word = wordAt(bytes, offset);
  if ((word & 2) !== 0) return undefined;
  const field = (type: number, mask: number): BranchField => ({
    type,
    field: offset,
    addend: 0,
    size: 4,
    cleared: bytesOfWord((word & ~mask) >>> 0),
  });
  if (word >>> 26 === 18) return field(R_PPC64.REL24, 0x3fffffc);
  return word >>> 26 === 16 ? field(R_PPC64.REL14, 0xfffc) : undefined;
}

/** aarch64, little endian as all distributions have it. */
import { objdumpFor } from '../common/objdump.ts';
import { bytesOfWord, isFilledWith, wordAt } from '../common/words.ts';
import { entryTables, ordinary } from '../ordinary.ts';
import type { BranchField, Platform, Use } from '../platform.ts';
import { boot } from './boot.ts';
import { decoder } from './decoder.ts';
import { emulator } from './emulator.ts';
import { loader } from './loader.ts';
import { naming } from './naming.ts';
import { R_AARCH64, relocationOf } from './relocations.ts';
import { runPre } from './run-pre.ts';
import { smallKernel } from './small-kernel.ts';
import { specialSections } from './special.ts';

const NOP = 0xd503201f;
/** `bti c`, `bti jc`, `paciasp`, `pacibsp`. */
const LANDING_PADS = [0xd503245f, 0xd50324df, 0xd503233f, 0xd503237f];

export const aarch64: Platform = {
  ...ordinary,
  name: 'aarch64',
  machine: 183,
  littleEndian: true,
  address64: R_AARCH64.ABS64,
  relocation: relocationOf,
  use,
  // Mapping symbols say whether instructions ($x) or data ($d) follow (ELF for the Arm 64-bit Architecture, 5.5.4).
  isLabel: (name) => name.startsWith('.L') || /^\$[xd](?:\.|$)/.test(name),
  prefixOf: (name) => (name.startsWith('__cfi_') ? name.slice(6) : undefined), // clang -fsanitize=kcfi, since 6.2
  isLandingPad: (bytes, offset) => offset + 4 <= bytes.length && LANDING_PADS.includes(wordAt(bytes, offset)),
  isPadding: (bytes, start, end) => isFilledWith([NOP, 0], bytes, start, end),
  trace: {
    sections: entryTables,
    callees: ['_mcount', '__fentry__'],
    // -fpatchable-function-entry=2 puts the place at the entry or behind `bti c`; =4,2 (since 6.2) 8 bytes before it. With
    // -pg (before 5.5) the call of _mcount is after the instructions that make the frame.
    before: 8,
    after: 16,
  },
  argumentRegisters: [0, 1, 2, 3, 4, 5, 6, 7],
  decoder,
  branchRelocation,
  structureHeaders: ['asm/alternative.h'],
  specialSections,
  disassemble: objdumpFor({
    programs: ['aarch64-linux-gnu-objdump', 'objdump'],
    machine: ['-m', 'aarch64'],
    littleEndian: true,
    unit: 4,
  }),
  naming,
  boot,
  emulator,
  runPre,
  loader,
  smallKernel,
};

function use(type: number): Use {
  if (type === R_AARCH64.CALL26) return 'call';
  if (type === R_AARCH64.JUMP26 || type === R_AARCH64.CONDBR19 || type === R_AARCH64.TSTBR14) return 'jump';
  return 'address';
}

function branchRelocation(bytes: Uint8Array, offset: number): BranchField | undefined {
  const word = wordAt(bytes, offset);
  const field = (type: number, opcode: number): BranchField => ({
    type,
    field: offset,
    addend: 0,
    size: 4,
    cleared: bytesOfWord(opcode >>> 0),
  });
  if (word >>> 26 === 0b000101) return field(R_AARCH64.JUMP26, 0x14000000);
  if (word >>> 26 === 0b100101) return field(R_AARCH64.CALL26, 0x94000000);
  const conditional = word >>> 24 === 0x54 || (word & 0x7e000000) === 0x34000000;
  if (conditional) return field(R_AARCH64.CONDBR19, word & ~(0x7ffff << 5));
  if ((word & 0x7e000000) === 0x36000000) return field(R_AARCH64.TSTBR14, word & ~(0x3fff << 5));
  return undefined;
}

/** loongarch64. */
import { objdumpFor } from '../common/objdump.ts';
import { bytesOfWord, isFilledWith, wordAt } from '../common/words.ts';
import { entryTables, ordinary } from '../ordinary.ts';
import type { BranchField, Platform, Use } from '../platform.ts';
import { boot } from './boot.ts';
import { decoder } from './decoder.ts';
import { emulator } from './emulator.ts';
import { loader } from './loader.ts';
import { naming } from './naming.ts';
import { R_LARCH, relocationOf } from './relocations.ts';
import { runPre } from './run-pre.ts';
import { specialSections } from './special.ts';

const NOP = 0x03400000; // andi $zero, $zero, 0
const BREAK = 0x002a0000;

export const loongarch64: Platform = {
  ...ordinary,
  name: 'loongarch64',
  machine: 258,
  littleEndian: true,
  address64: R_LARCH[64],
  relocation: relocationOf,
  use,
  isPadding: (bytes, start, end) => isFilledWith([NOP, BREAK, 0], bytes, start, end),
  trace: {
    sections: entryTables,
    callees: ['_mcount', '__fentry__'],
    // -fpatchable-function-entry=2: two NOPs at the entry. With -pg the call of _mcount follows a move.
    before: 0,
    after: 8,
  },
  argumentRegisters: [4, 5, 6, 7, 8, 9, 10, 11],
  decoder,
  branchRelocation,
  structureHeaders: ['asm/alternative.h', 'asm/orc_types.h'],
  specialSections,
  disassemble: objdumpFor({
    programs: ['loongarch64-linux-gnu-objdump', 'objdump'],
    machine: ['-m', 'Loongarch64'],
    littleEndian: true,
    unit: 4,
  }),
  naming,
  boot,
  emulator,
  runPre,
  loader,
};

function use(type: number, bytes: Uint8Array, offset: number): Use {
  switch (type) {
    case R_LARCH.B26:
    case R_LARCH.SOP_PUSH_PLT_PCREL:
      return wordAt(bytes, offset) >>> 26 === 0x15 ? 'call' : 'jump';
    case R_LARCH.B16:
    case R_LARCH.B21:
      return 'jump';
    case R_LARCH.CALL36: // PCADDU18I and JIRL, whose link register says whether it is a call
      return (wordAt(bytes, offset + 4) & 0x1f) === 0 ? 'jump' : 'call';
    default:
      return 'address';
  }
}

function branchRelocation(bytes: Uint8Array, offset: number): BranchField | undefined {
  const word = wordAt(bytes, offset);
  const field = (type: number, mask: number): BranchField => ({
    type,
    field: offset,
    addend: 0,
    size: 4,
    cleared: bytesOfWord((word & ~mask) >>> 0),
  });
  const opcode = word >>> 26;
  if (opcode === 0x14 || opcode === 0x15) return field(R_LARCH.B26, 0x3ffffff);
  if (opcode === 0x10 || opcode === 0x11) return field(R_LARCH.B21, 0x3fffc1f);
  return opcode >= 0x16 && opcode <= 0x1b ? field(R_LARCH.B16, 0x3fffc00) : undefined;
}

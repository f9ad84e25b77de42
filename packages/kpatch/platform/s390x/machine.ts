/** s390x: the 64-bit architecture of IBM Z, big endian. */
import { objdumpFor } from '../common/objdump.ts';
import { entryTables, ordinary } from '../ordinary.ts';
import type { BranchField, Platform, Use } from '../platform.ts';
import { boot } from './boot.ts';
import { decoder } from './decoder.ts';
import { emulator } from './emulator.ts';
import { loader } from './loader.ts';
import { naming } from './naming.ts';
import { R_390, relocationOf } from './relocations.ts';
import { runPre } from './run-pre.ts';
import { smallKernel } from './small-kernel.ts';
import { specialSections } from './special.ts';

export const s390x: Platform = {
  ...ordinary,
  name: 's390x',
  machine: 22,
  littleEndian: false,
  address64: R_390[64],
  relocation: relocationOf,
  use,
  isPadding,
  trace: {
    sections: entryTables,
    callees: ['__fentry__', '_mcount'],
    // The call of __fentry__, or the BRCL 0 of -mnop-mcount, is the first instruction. With -pg alone (before 3.18 or so)
    // the return address is saved first.
    before: 0,
    after: 24,
    // -mhotpatch=0,3 (gcc 5 to 8) leaves no table and no relocation, only the BRCL 0 that takes six bytes.
    isPlace: isLongNop,
  },
  argumentRegisters: [2, 3, 4, 5, 6],
  // Thunks of -mindirect-branch=thunk: each object has those it uses, all alike, in sections of a group.
  isThunk: (name) => name.startsWith('__s390_indirect_jump_r'),
  decoder,
  branchRelocation,
  structureHeaders: ['asm/alternative.h'],
  specialSections,
  disassemble: objdumpFor({
    programs: ['s390x-linux-gnu-objdump', 'objdump'],
    machine: ['-m', 's390:64-bit'],
    littleEndian: false,
    unit: 2,
  }),
  naming,
  boot,
  emulator,
  runPre,
  loader,
  smallKernel,
};

/** Which instruction a field at byte 2 belongs to is told by the opcode two bytes before. */
function use(type: number, bytes: Uint8Array, offset: number): Use {
  const opcode = bytes[offset - 2] ?? 0;
  const second = bytes[offset - 1] ?? 0;
  const low = second & 0xf;
  switch (type) {
    case R_390.PC32DBL:
    case R_390.PLT32DBL:
      if (opcode === 0xc0 && low === 5) return 'call';
      return (opcode === 0xc0 && low === 4) || (opcode === 0xcc && low === 6) ? 'jump' : 'address';
    case R_390.PC16DBL:
    case R_390.PLT16DBL:
      return opcode === 0xa7 && low === 5 ? 'call' : 'jump';
    default:
      return 'address';
  }
}

/** BRCL 0 to itself, as the compiler and ftrace write it. */
function isLongNop(bytes: Uint8Array, offset: number): boolean {
  return bytes[offset] === 0xc0 && bytes[offset + 1] === 0x04 && bytes.subarray(offset + 2, offset + 6).every(isZero);
}

const isZero = (byte: number): boolean => byte === 0;

/** NOPR, NOP, BRC 0, BRCL 0 and zeros. */
function isPadding(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; ) {
    const [first, second] = [bytes[at], bytes[at + 1] ?? 0];
    if (first === 0) at++;
    else if (first === 0x07 && second < 0x10) at += 2;
    else if (first === 0x47 && second < 0x10) at += 4;
    else if (first === 0xa7 && second === 0x04) at += 4;
    else if (first === 0xc0 && second === 0x04) at += 6;
    else return false;
  }
  return true;
}

function branchRelocation(bytes: Uint8Array, offset: number): BranchField | undefined {
  const [opcode, second] = [bytes[offset], bytes[offset + 1] ?? 0];
  const low = second & 0xf;
  if (opcode === 0xc0 && (low === 5 || (low === 4 && second >= 0x10))) {
    return { type: R_390.PLT32DBL, field: offset + 2, addend: 2, size: 4 };
  }
  const short = opcode === 0xa7 && (low === 5 || (low === 4 && second >= 0x10));
  return short ? { type: R_390.PC16DBL, field: offset + 2, addend: 2, size: 2 } : undefined;
}

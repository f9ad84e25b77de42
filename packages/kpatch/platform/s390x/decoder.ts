/**
 * Instructions of s390x (z/Architecture Principles of Operation, appendix B) as far as the rules need them. The two highest
 * bits of the first byte say how long an instruction is. Where an encoding is not distinguished finely, more registers
 * count as written than are.
 */
import { rememberingDecoder } from '../ordinary.ts';
import type { Decoder, Flow, Instruction } from '../platform.ts';

/** r0 to r5 and r14: what a callee may write. */
const VOLATILE = 0x403f;
const ALL = 0xffff;

export function decoder(bytes: Uint8Array): Decoder {
  return rememberingDecoder((offset) => decode(bytes, offset));
}

/** The length in bytes of the instruction with this first byte. */
export function lengthOf(first: number): number {
  return first < 0x40 ? 2 : first < 0xc0 ? 4 : 6;
}

function decode(bytes: Uint8Array, offset: number): Instruction | undefined {
  const opcode = bytes[offset];
  if (offset < 0 || offset % 2 !== 0 || opcode === undefined || opcode === 0) return undefined; // 00 is never valid
  const length = lengthOf(opcode);
  if (offset + length > bytes.length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, length);
  const branch = branchOf(view, offset);
  if (branch !== undefined) return { offset, length, ...branch };
  const load = loadOf(view);
  const copies = opcode === 0xb9 && view.getUint8(1) === 0x04 ? view.getUint8(3) & 0xf : undefined; // LGR
  return {
    offset,
    length,
    flow: 'next',
    ...(load === undefined ? {} : { load }),
    ...(copies === undefined ? {} : { copies }),
    writes: writesOf(view),
  };
}

interface Branch {
  readonly flow: Flow;
  readonly target?: number;
  readonly writes: number;
}

function branchOf(view: DataView, offset: number): Branch | undefined {
  const opcode = view.getUint8(0);
  const second = view.getUint8(1);
  const [r1, low] = [second >> 4, second & 0xf];
  const near = (flow: Flow): Branch => ({ flow, target: offset + 2 * view.getInt16(2), writes: writesOfBranch(flow) });
  const far = (flow: Flow): Branch => ({ flow, target: offset + 2 * view.getInt32(2), writes: writesOfBranch(flow) });
  switch (opcode) {
    case 0x07: // BCR; without a register it only serializes
      return low === 0 || r1 === 0 ? { flow: 'next', writes: 0 } : { flow: r1 === 15 ? 'end' : 'branch', writes: 0 };
    case 0x0b: // BSM
      return { flow: 'end', writes: 0 };
    case 0x05: // BALR, BASSM, BASR
    case 0x0c:
    case 0x0d:
    case 0x45: // BAL, BAS
    case 0x4d:
      return { flow: 'call', writes: VOLATILE };
    case 0x06: // BCTR, BCT
    case 0x46:
      return low === 0 && opcode === 0x06 ? undefined : { flow: 'branch', writes: bit(r1) };
    case 0x47: // BC
      return r1 === 0 ? { flow: 'next', writes: 0 } : { flow: r1 === 15 ? 'end' : 'branch', writes: 0 };
    case 0x84: // BRXH, BRXLE
    case 0x85:
      return { ...near('branch'), writes: bit(r1) };
    case 0xa7:
      if (low === 4) return r1 === 0 ? { flow: 'next', writes: 0 } : near(r1 === 15 ? 'jump' : 'branch'); // BRC
      if (low === 5) return near('call'); // BRAS
      return low === 6 || low === 7 ? { ...near('branch'), writes: bit(r1) } : undefined; // BRCT, BRCTG
    case 0xc0:
      if (low === 4) return r1 === 0 ? { flow: 'next', writes: 0 } : far(r1 === 15 ? 'jump' : 'branch'); // BRCL
      return low === 5 ? far('call') : undefined; // BRASL
    case 0xcc:
      return low === 6 ? { ...far('branch'), writes: bit(r1) } : undefined; // BRCTH
    case 0xec:
      return compareAndBranch(view.getUint8(5), near);
    case 0xe3:
      return view.getUint8(5) === 0x46 ? { flow: 'branch', writes: bit(r1) } : undefined; // BCTG
    case 0xb2:
      return second === 0xb2 ? { flow: 'end', writes: 0 } : undefined; // LPSWE
    default:
      return undefined;
  }
}

function compareAndBranch(opcode: number, near: (flow: Flow) => Branch): Branch | undefined {
  switch (opcode) {
    case 0x44: // BRXHG, BRXLG
    case 0x45:
      return { ...near('branch'), writes: ALL };
    case 0x64: // CGRJ, CLGRJ, CRJ, CLRJ, CGIJ, CLGIJ, CIJ, CLIJ
    case 0x65:
    case 0x76:
    case 0x77:
    case 0x7c:
    case 0x7d:
    case 0x7e:
    case 0x7f:
      return near('branch');
    case 0xe4: // CGRB, CLGRB, CRB, CLRB, CGIB, CLGIB, CIB, CLIB
    case 0xe5:
    case 0xf6:
    case 0xf7:
    case 0xfc:
    case 0xfd:
    case 0xfe:
    case 0xff:
      return { flow: 'branch', writes: 0 };
    default:
      return undefined;
  }
}

function writesOfBranch(flow: Flow): number {
  return flow === 'call' ? VOLATILE : 0;
}

function bit(register: number): number {
  return 1 << register;
}

/** LHI, LGHI, LGFI, IILF (of an int), LLILF, LLILL: a constant into a register. */
function loadOf(view: DataView): { register: number; value: number } | undefined {
  const opcode = (view.getUint8(0) << 4) | (view.getUint8(1) & 0xf);
  const register = view.getUint8(1) >> 4;
  switch (opcode) {
    case 0xa78:
    case 0xa79:
      return { register, value: view.getInt16(2) };
    case 0xa5f:
      return { register, value: view.getUint16(2) };
    case 0xc01:
    case 0xc09:
      return { register, value: view.getInt32(2) };
    case 0xc0f:
      return { register, value: view.getUint32(2) };
    default:
      return undefined;
  }
}

/** Stores and compares of the formats RX, RS, SI (one byte of opcode). */
const writeNothing = new Set([
  0x15, 0x19, 0x40, 0x42, 0x50, 0x55, 0x59, 0x49, 0x60, 0x70, 0x90, 0x91, 0x92, 0x94, 0x95, 0x96, 0x97, 0x9a, 0x9b,
  0xaf, 0xbe, 0xd1, 0xd2, 0xd4, 0xd5, 0xd6, 0xd7, 0xdc, 0xdd, 0xde, 0x0a, 0xc8, 0xe5,
]);
/** The same of E3 (RXY) and EB (RSY, SIY), by their last byte. */
const storesOfE3 = new Set([
  0x20, 0x21, 0x24, 0x25, 0x2e, 0x2f, 0x30, 0x31, 0x3e, 0x3f, 0x50, 0x55, 0x59, 0x70, 0x72, 0x79, 0x36,
]);
const storesOfEb = new Set([
  0x21, 0x20, 0x24, 0x26, 0x2c, 0x2d, 0x51, 0x52, 0x54, 0x55, 0x56, 0x57, 0x6a, 0x6e, 0x7a, 0x7e, 0x90,
]);

/** Multiplications, divisions, double shifts and compare-and-swap write a pair of registers. */
const pairs = new Set([0x0e, 0x0f, 0x1c, 0x1d, 0x5c, 0x5d, 0x8c, 0x8d, 0x8e, 0x8f, 0xa8, 0xa9, 0xbb]);
const pairsOfE3 = new Set([0x0d, 0x1d, 0x5c, 0x84, 0x86, 0x87, 0x8f, 0x96, 0x97]);
const pairsOfB9 = new Set([0x0d, 0x1d, 0x83, 0x84, 0x86, 0x87, 0x96, 0x97, 0xec]);

/** Registers `first` to `last`, where 0 follows 15. */
function range(first: number, last: number): number {
  let registers = bit(first);
  for (let register = first; register !== last; ) {
    register = (register + 1) & 0xf;
    registers |= bit(register);
  }
  return registers;
}

function after(register: number): number {
  return bit((register + 1) & 0xf);
}

function writesOf(view: DataView): number {
  const opcode = view.getUint8(0);
  const second = view.getUint8(1);
  const r1 = bit(second >> 4);
  if (writeNothing.has(opcode)) return 0;
  switch (opcode) {
    case 0x98: // LM
      return range(second >> 4, second & 0xf);
    case 0xa7:
      return [0, 1, 2, 3, 0xe, 0xf].includes(second & 0xf) ? 0 : r1; // TM*, CHI, CGHI
    case 0xc2:
      return (second & 0xf) >= 0xc ? 0 : r1; // C*FI
    case 0xc4:
      return [0x7, 0xb, 0xf].includes(second & 0xf) ? 0 : r1; // STHRL, STGRL, STRL
    case 0xc6:
      return 0; // compares, EXRL
    case 0xe3:
      return storesOfE3.has(view.getUint8(5)) ? 0 : pairsOfE3.has(view.getUint8(5)) ? r1 | after(second >> 4) : r1;
    case 0xeb: {
      const last = view.getUint8(5);
      if (storesOfEb.has(last)) return 0;
      return last === 0x04 || last === 0x96 || last === 0x98 ? range(second >> 4, second & 0xf) : r1; // LMG, LMH, LMY
    }
    case 0xb9:
    case 0xb2: {
      const register = view.getUint8(3) >> 4;
      return opcode === 0xb9 && pairsOfB9.has(second) ? bit(register) | after(register) : bit(register);
    }
    case 0x44: // EX
      return ALL;
    default:
      return pairs.has(opcode) ? r1 | after(second >> 4) : r1;
  }
}

/**
 * Instructions of aarch64 (Arm Architecture Reference Manual, C4 "A64 instruction set encoding") as far as the rules need
 * them. Where an encoding is not distinguished finely, more registers count as written than are.
 */

import { signed, wordDecoder } from '../common/words.ts';
import type { Decoder, Flow, Instruction } from '../platform.ts';

export function decoder(bytes: Uint8Array): Decoder {
  return wordDecoder(bytes, decode);
}

/** x0 to x18 and x30: what a callee may write. */
const VOLATILE = 0x4007ffff;

function decode(word: number, offset: number): Instruction | undefined {
  if (word >>> 16 === 0) return undefined; // UDF
  const branch = branchOf(word, offset);
  if (branch !== undefined) return { offset, length: 4, ...branch };
  const load = loadOf(word);
  // MOV between registers is ORR with the zero register.
  const copies = (word & 0xffe0ffe0) >>> 0 === 0xaa0003e0 ? (word >>> 16) & 0x1f : undefined;
  return {
    offset,
    length: 4,
    flow: 'next',
    ...(load === undefined ? {} : { load }),
    ...(copies === undefined ? {} : { copies }),
    writes: writesOf(word),
  };
}

function branchOf(word: number, offset: number): { flow: Flow; target?: number; writes: number } | undefined {
  const direct = (flow: Flow, field: number, bits: number): { flow: Flow; target: number; writes: number } => ({
    flow,
    target: offset + signed(field, bits) * 4,
    writes: flow === 'call' ? VOLATILE : 0,
  });
  const top = word >>> 26;
  if (top === 0b000101) return direct('jump', word & 0x3ffffff, 26); // B
  if (top === 0b100101) return direct('call', word & 0x3ffffff, 26); // BL
  if (word >>> 24 === 0x54) return direct('branch', (word >>> 5) & 0x7ffff, 19); // B.cond, BC.cond
  if ((word & 0x7e000000) === 0x34000000) return direct('branch', (word >>> 5) & 0x7ffff, 19); // CBZ, CBNZ
  if ((word & 0x7e000000) === 0x36000000) return direct('branch', (word >>> 5) & 0x3fff, 14); // TBZ, TBNZ
  if ((word & 0xfe000000) >>> 0 !== 0xd6000000) return undefined;
  // BR, BLR, RET, ERET and their forms with pointer authentication
  const call = ((word >>> 21) & 0x7) === 1;
  return call ? { flow: 'call', writes: VOLATILE } : { flow: 'end', writes: 0 };
}

/** MOVZ without shift: what compilers and the assembler's `mov` use for numbers of 16 bits. */
function loadOf(word: number): { register: number; value: number } | undefined {
  if ((word & 0x7fe00000) !== 0x52800000) return undefined;
  return { register: word & 0x1f, value: (word >>> 5) & 0xffff };
}

function writesOf(word: number): number {
  const group = (word >>> 25) & 0xf;
  const rd = bit(word & 0x1f);
  if ((group & 0b1110) === 0b1000) return rd; // data processing with a constant
  if ((group & 0b0111) === 0b0101) return rd; // data processing with registers
  if ((group & 0b0101) === 0b0100) return memoryWrites(word);
  if ((group & 0b1110) === 0b1010) return (word & 0xffd00000) >>> 0 === 0xd5100000 || word >>> 20 === 0xd53 ? rd : 0; // MRS
  return rd;
}

/** x31 is the zero register or the stack pointer: neither is followed. */
function bit(register: number): number {
  return register === 31 ? 0 : (1 << register) >>> 0;
}

function memoryWrites(word: number): number {
  const vector = ((word >>> 26) & 1) === 1;
  const [rt, rn, rt2, rs] = [word & 0x1f, (word >>> 5) & 0x1f, (word >>> 10) & 0x1f, (word >>> 16) & 0x1f].map(bit);
  const data = vector ? 0 : rt!;
  switch ((word >>> 28) & 0b11) {
    case 0b10: {
      // pairs; bit 22 says load, bits 24:23 how the address is written back
      const back = ((word >>> 23) & 1) === 1 ? rn! : 0;
      const loads = ((word >>> 22) & 1) === 1 && !vector ? rt! | rt2! : 0;
      return loads | back;
    }
    case 0b01:
      return data; // from a literal, and RCpc instructions
    case 0b11: {
      const scaled = ((word >>> 24) & 1) === 1;
      const mode = (word >>> 10) & 0b11;
      const registerForm = ((word >>> 21) & 1) === 1;
      const back = !scaled && !registerForm && (mode === 0b01 || mode === 0b11) ? rn! : 0;
      const atomic = !scaled && registerForm && mode === 0b00;
      const store = ((word >>> 22) & 0b11) === 0 && !atomic;
      return (store ? 0 : data) | back;
    }
    default:
      return rt! | rt2! | rs!; // exclusives and their like
  }
}

/**
 * Instructions of ppc64le (Power ISA, book I) as far as the rules need them. Where an encoding is not distinguished finely,
 * more registers count as written than are.
 */

import { signed, wordAt, wordDecoder } from '../common/words.ts';
import type { Decoder, Flow, Instruction } from '../platform.ts';

/** r0 and r3 to r12: what a callee may write. */
const VOLATILE = 0x1ff9;

export function decoder(bytes: Uint8Array): Decoder {
  return wordDecoder(bytes, decode);
}

function decode(word: number, offset: number, bytes: Uint8Array): Instruction | undefined {
  if (word === 0) return undefined;
  const opcode = word >>> 26;
  // A prefix (Power10) and its instruction are one of eight bytes.
  if (opcode === 1) return { offset, length: 8, flow: 'next', writes: fieldsOf(wordAt(bytes, offset + 4)) };
  const branch = branchOf(word, opcode, offset);
  if (branch !== undefined) return { offset, length: 4, ...branch };
  const load = loadOf(word, opcode, offset, bytes);
  // MR is OR of a register with itself.
  const source = (word >>> 21) & 0x1f;
  const move = opcode === 31 && ((word >>> 1) & 0x3ff) === 444 && source === ((word >>> 11) & 0x1f);
  const copies = move ? { copies: source } : {};
  return { offset, length: 4, flow: 'next', ...load, ...copies, writes: writesOf(word, opcode) };
}

interface Branch {
  readonly flow: Flow;
  readonly target?: number;
  readonly writes: number;
}

function branchOf(word: number, opcode: number, offset: number): Branch | undefined {
  const link = (word & 1) === 1;
  const absolute = (word & 2) === 2;
  const always = ((word >>> 21) & 0x14) === 0x14;
  const direct = (flow: Flow, distance: number): Branch => {
    const writes = link ? VOLATILE : 0;
    return absolute ? { flow, writes } : { flow, target: offset + distance, writes };
  };
  if (opcode === 18) return direct(link ? 'call' : 'jump', signed(word & 0x3fffffc, 26));
  if (opcode === 16) return direct(link ? 'call' : always ? 'jump' : 'branch', signed(word & 0xfffc, 16));
  if (opcode !== 19) return undefined;
  const extended = (word >>> 1) & 0x3ff;
  if (extended === 18 || extended === 274 || extended === 82) return { flow: 'end', writes: 0 }; // RFID, HRFID, RFSCV
  if (extended !== 16 && extended !== 528 && extended !== 560) return undefined; // BCLR, BCCTR, BCTAR
  if (link) return { flow: 'call', writes: VOLATILE };
  return { flow: always ? 'end' : 'branch', writes: 0 };
}

/**
 * LI and LIS, and an ORI that completes the constant of the instruction before it (numbers from 32768 up do not fit into
 * LI).
 */
function loadOf(
  word: number,
  opcode: number,
  offset: number,
  bytes: Uint8Array,
): Pick<Instruction, 'load' | 'completes'> | undefined {
  const [rt, ra, low] = [(word >>> 21) & 0x1f, (word >>> 16) & 0x1f, word & 0xffff];
  if (opcode === 14 && ra === 0) return { load: { register: rt, value: signed(low, 16) } };
  if (opcode === 15 && ra === 0) return { load: { register: rt, value: (low << 16) | 0 } };
  if (opcode !== 24 || rt !== ra || offset < 4) return undefined;
  const before = wordAt(bytes, offset - 4);
  if ((before >>> 21) % 0x20 !== rt || ((before >>> 16) & 0x1f) !== 0) return undefined;
  const high = before >>> 26 === 15 ? (before & 0xffff) << 16 : before >>> 26 === 14 ? signed(before & 0xffff, 16) : -1;
  return high < 0 ? undefined : { load: { register: rt, value: high | low }, completes: true };
}

const bit = (register: number): number => (1 << register) >>> 0;

/** Both register fields that an instruction may write. */
function fieldsOf(word: number): number {
  return bit((word >>> 21) & 0x1f) | bit((word >>> 16) & 0x1f);
}

/** Extended opcodes of opcode 31 that write the second field: logical operations, shifts, sign extensions. */
const writeSecond = new Set([
  28, 60, 124, 284, 316, 412, 444, 476, 24, 27, 536, 539, 792, 794, 824, 826, 827, 26, 58, 954, 922, 986, 506, 538, 890,
]);
/** Those that write no register: compares, traps, stores, cache and synchronization, moves to special registers. */
const writeNothing = new Set([
  0, 32, 4, 68, 151, 149, 215, 407, 214, 150, 694, 726, 661, 662, 660, 918, 54, 86, 246, 278, 1014, 598, 854, 467, 144,
  146, 178,
]);

function writesOf(word: number, opcode: number): number {
  const [rt, ra] = [bit((word >>> 21) & 0x1f), bit((word >>> 16) & 0x1f)];
  if (opcode >= 24 && opcode <= 29) return ra; // ORI ... ANDIS.
  if (opcode === 20 || opcode === 21 || opcode === 23 || opcode === 30) return ra; // rotates
  if (opcode === 31) {
    const extended = (word >>> 1) & 0x3ff;
    if (writeNothing.has(extended)) return 0;
    return writeSecond.has(extended) ? ra : fieldsOf(word);
  }
  switch (opcode) {
    case 2: // TDI, TWI
    case 3:
    case 10: // CMPLI, CMPI
    case 11:
    case 17: // SC
    case 36: // STW, STB, STH, STMW
    case 38:
    case 44:
    case 47:
      return 0;
    case 37: // with update
    case 39:
    case 45:
      return ra;
    case 62: // STD, STDU
      return (word & 3) === 1 ? ra : 0;
    case 46: // LMW
      return 0xffffffff;
    case 33: // loads with update
    case 35:
    case 41:
    case 43:
      return rt | ra;
    case 58:
      return (word & 3) === 1 ? rt | ra : rt;
    default:
      return opcode >= 48 && opcode <= 55 ? 0 : rt; // floating point in between
  }
}

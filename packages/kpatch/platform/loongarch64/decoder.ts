/**
 * Instructions of loongarch64 (LoongArch Reference Manual, volume 1, appendix B) as far as the rules need them. Where an
 * encoding is not distinguished finely, more registers count as written than are.
 */

import { signed, wordAt, wordDecoder } from '../common/words.ts';
import type { Decoder, Flow, Instruction } from '../platform.ts';

/** ra, a0 to a7, t0 to t8: what a callee may write. */
const VOLATILE = 0x1ffff2;

export function decoder(bytes: Uint8Array): Decoder {
  return wordDecoder(bytes, decode);
}

function decode(word: number, offset: number, bytes: Uint8Array): Instruction | undefined {
  if (word === 0) return undefined;
  const branch = branchOf(word, offset);
  if (branch !== undefined) return { offset, length: 4, ...branch };
  const load = loadOf(word, offset, bytes);
  // MOVE is OR with the zero register.
  const copies = word >>> 10 === 0x2a << 5 ? { copies: (word >>> 5) & 0x1f } : {};
  return { offset, length: 4, flow: 'next', ...load, ...copies, writes: writesOf(word) };
}

function branchOf(word: number, offset: number): { flow: Flow; target?: number; writes: number } | undefined {
  const middle = (word >>> 10) & 0xffff;
  const to = (flow: Flow, distance: number): { flow: Flow; target: number; writes: number } => ({
    flow,
    target: offset + distance * 4,
    writes: flow === 'call' ? VOLATILE : 0,
  });
  switch (word >>> 26) {
    case 0x10: // BEQZ, BNEZ, BCEQZ and BCNEZ
    case 0x11:
    case 0x12:
      return to('branch', signed(((word & 0x1f) << 16) | middle, 21));
    case 0x13: // JIRL
      return (word & 0x1f) === 0 ? { flow: 'end', writes: 0 } : { flow: 'call', writes: VOLATILE };
    case 0x14: // B, BL
    case 0x15:
      return to(word >>> 26 === 0x14 ? 'jump' : 'call', signed(((word & 0x3ff) << 16) | middle, 26));
    case 0x16: // BEQ, BNE, BLT, BGE, BLTU, BGEU
    case 0x17:
    case 0x18:
    case 0x19:
    case 0x1a:
    case 0x1b:
      return to('branch', signed(middle, 16));
    default:
      return word === 0x06483800 ? { flow: 'end', writes: 0 } : undefined; // ERTN
  }
}

/** ADDI.W, ADDI.D and ORI from the zero register, LU12I.W, and an ORI that completes the constant before it. */
function loadOf(word: number, offset: number, bytes: Uint8Array): Pick<Instruction, 'load' | 'completes'> | undefined {
  const [register, source, low] = [word & 0x1f, (word >>> 5) & 0x1f, (word >>> 10) & 0xfff];
  if (word >>> 25 === 0x0a) return { load: { register, value: (((word >>> 5) & 0xfffff) << 12) | 0 } };
  const opcode = word >>> 22;
  if (source === 0 && (opcode === 0x00a || opcode === 0x00b)) return { load: { register, value: signed(low, 12) } };
  if (opcode !== 0x00e) return undefined;
  if (source === 0) return { load: { register, value: low } };
  if (source !== register || offset < 4) return undefined;
  const before = wordAt(bytes, offset - 4);
  if (before >>> 25 !== 0x0a || (before & 0x1f) !== register) return undefined;
  return { load: { register, value: (((before >>> 5) & 0xfffff) << 12) | low }, completes: true };
}

function writesOf(word: number): number {
  const opcode = word >>> 22;
  // ST.B to ST.D, PRELD, floating point loads and stores, STPTR, STX
  if ((opcode >= 0xa4 && opcode <= 0xa7) || (opcode >= 0xab && opcode <= 0xaf)) return 0;
  if (word >>> 24 === 0x25 || word >>> 24 === 0x27) return 0;
  const long = word >>> 15;
  if (long === 0x7020 || long === 0x7028 || long === 0x7030 || long === 0x7038) return 0;
  if (long === 0x70e4 || long === 0x70e5 || long === 0x54 || long === 0x56) return 0; // DBAR, IBAR, BREAK, SYSCALL
  const register = word & 0x1f;
  return register === 0 ? 0 : (1 << register) >>> 0;
}

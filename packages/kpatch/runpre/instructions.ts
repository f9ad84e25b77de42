/** The second step of run-pre match: instruction by instruction, with padding skipped and branches of either form. */

import type { Relocation } from '../formats/elf/object.ts';
import type { Decoder } from '../platform/platform.ts';
import { type Branch, branchAt, isNop } from '../platform/x86_64/branches.ts';
import { type Comparison, type Contest, fieldAgrees, fieldOf } from './contest.ts';

/** One side: its bytes, decoded at offsets of the same numbering. */
interface Side {
  readonly bytes: Uint8Array;
  readonly decoder: Decoder;
  /** Offset → number of the instruction that is executed from there; padding counts to the next one. */
  readonly numbers: Map<number, number>;
  at: number;
}

/** Branches inside the function are checked at the end, when both sides are numbered. */
interface Jump {
  readonly ours: number;
  readonly theirs: number;
  readonly at: readonly [ours: number, theirs: number];
}

/**
 * Compares from the start. `reached` is the offset of the first difference that the bytes have, for the report if the
 * instructions do not agree either.
 */
export function matchInstructions(contest: Contest, reached: number): Comparison {
  const { compiled, address, arch, decoder, bindings } = contest;
  const { start, end, section } = compiled;
  const window = theirWindow(contest);
  if (window === undefined) return { same: false, ours: reached, theirs: reached };
  const ours: Side = { bytes: section.data, decoder, numbers: new Map(), at: start };
  const theirs: Side = { bytes: window, decoder: arch.decoder(window), numbers: new Map(), at: 0 };
  const differs = (a: number, b: number): Comparison => ({ same: false, ours: a - start, theirs: b });
  bindings.bindSection(section, address - BigInt(start));
  const jumps: Jump[] = [];
  for (let number = 0; ; number++) {
    skipPadding(ours, number, end);
    skipPadding(theirs, number, window.length);
    if (ours.at >= end) break;
    const jump = step(contest, ours, theirs);
    if (jump === 'jump label') {
      number--;
      continue;
    }
    if (jump === 'differs') return differs(ours.at, theirs.at);
    if (jump !== undefined) jumps.push(jump);
  }
  for (const jump of jumps) {
    if (!landsSame(ours, theirs, jump)) return differs(...jump.at);
  }
  return { same: true, by: 'instructions' };
}

/** Their bytes, enough for every branch in its long form; undefined where not even ours would fit. */
function theirWindow({ compiled, code, address }: Contest): Uint8Array | undefined {
  const size = compiled.end - compiled.start;
  for (const length of [size * 2 + 64, size + 64, size]) {
    const bytes = code.read(address, length);
    if (bytes !== undefined) return bytes;
  }
  return undefined;
}

/** Moves over NOPs. */
function skipPadding(side: Side, number: number, end: number): void {
  for (;;) {
    const instruction = side.at < end ? side.decoder.instruction(side.at) : undefined;
    side.numbers.set(side.at, number);
    if (instruction === undefined || !isNop(side.bytes, side.at, instruction.length)) return;
    side.at += instruction.length;
  }
}

/** Compares one instruction and moves on. */
function step(contest: Contest, ours: Side, theirs: Side): Jump | 'differs' | 'jump label' | undefined {
  const { compiled, address } = contest;
  const here = ours.decoder.instruction(ours.at);
  const there = theirs.decoder.instruction(theirs.at);
  if (here === undefined || there === undefined) return 'differs';
  const inside = compiled.relocations.filter(({ offset }) => offset >= ours.at && offset < ours.at + here.length);
  const branch = branchAt(ours.bytes, ours.at, here.length);
  if (branch !== undefined) {
    const other = branchAt(theirs.bytes, theirs.at, there.length);
    if (other?.kind !== branch.kind) {
      if (!compiled.jumpLabels.has(ours.at) || branch.kind !== 'jmp') return 'differs';
      ours.at += here.length; // objtool made the jump of this jump label a nop, which was skipped on their side
      return 'jump label';
    }
    const result = compareBranch(contest, ours, theirs, { branch, other, relocation: inside[0] });
    if (result === 'differs') return result;
    ours.at += here.length;
    theirs.at += there.length;
    return result;
  }
  if (here.length !== there.length) return 'differs';
  const masked = new Set<number>();
  for (const relocation of inside) {
    const field = fieldOf(relocation);
    if (field === undefined) return 'differs';
    for (let i = 0; i < field.size; i++) masked.add(relocation.offset + i);
  }
  for (let i = 0; i < here.length; i++) {
    if (!masked.has(ours.at + i) && ours.bytes[ours.at + i] !== theirs.bytes[theirs.at + i]) return 'differs';
  }
  for (const relocation of inside) {
    const place = address + BigInt(theirs.at + relocation.offset - ours.at);
    if (!fieldAgrees(contest, relocation, place)) return 'differs';
  }
  ours.at += here.length;
  theirs.at += there.length;
  return undefined;
}

interface BranchPair {
  readonly branch: Branch;
  readonly other: Branch;
  readonly relocation: Relocation | undefined;
}

function compareBranch(contest: Contest, ours: Side, theirs: Side, pair: BranchPair): Jump | 'differs' | undefined {
  const { code, address, bindings, compiled } = contest;
  const { branch, other, relocation } = pair;
  const at = [ours.at, theirs.at] as const;
  const field = address + BigInt(theirs.at + other.field);
  if (relocation !== undefined) {
    // The field of a long branch counts from its own start: target - 4 is what the relocation's symbol + addend must be.
    const target =
      other.size === 4
        ? code.target(field, 4, true)
        : { kind: 'address' as const, address: address + BigInt(destination(theirs, other)) - 4n };
    return target !== undefined && bindings.accepts(relocation, target, 4) ? undefined : 'differs';
  }
  const mine = destination(ours, branch);
  if (mine >= compiled.start && mine < compiled.end) {
    const target = other.size === 4 ? code.target(field, 4, true) : undefined;
    if (target?.kind === 'external') return 'differs';
    return { ours: mine, theirs: destination(theirs, other), at };
  }
  // Into another function of the same section, whose place relative to this one is fixed.
  const target = other.size === 4 ? code.target(field, 4, true) : undefined;
  const theirTarget = target?.kind === 'address' ? target.address + 4n : address + BigInt(destination(theirs, other));
  return theirTarget === address + BigInt(mine - compiled.start) ? undefined : 'differs';
}

/** Where a direct branch leads if no relocation applies, as an offset of its side's numbering. */
function destination(side: Side, branch: Branch): number {
  const view = new DataView(side.bytes.buffer, side.bytes.byteOffset);
  const field = side.at + branch.field;
  return field + branch.size + (branch.size === 1 ? view.getInt8(field) : view.getInt32(field, true));
}

function landsSame(ours: Side, theirs: Side, jump: Jump): boolean {
  const number = ours.numbers.get(jump.ours);
  return number !== undefined && number === theirs.numbers.get(jump.theirs);
}

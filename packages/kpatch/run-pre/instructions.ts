/** The second step of run-pre match: instruction by instruction, with padding skipped and branches of either form. */

import type { Relocation } from '../formats/elf/object.ts';
import type { Branch, LinkedField } from '../platform/common/run-pre.ts';
import type { Decoder } from '../platform/platform.ts';
import {
  agreesAround,
  branchTarget,
  type Contest,
  type FieldComparison,
  fieldAgrees,
  refersTo,
  rewrittenAt,
} from './contest.ts';
import { wrongPart } from './parts.ts';

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
export function matchInstructions(contest: Contest, reached: number): FieldComparison {
  const { compiled, address, arch, decoder, bindings } = contest;
  const { start, end, section } = compiled;
  const window = theirWindow(contest);
  if (window === undefined) return { same: false, ours: reached, theirs: reached };
  const ours: Side = { bytes: section.data, decoder, numbers: new Map(), at: start };
  const theirs: Side = { bytes: window, decoder: arch.decoder(window), numbers: new Map(), at: 0 };
  const differs = (a: number, b: number): FieldComparison => ({ same: false, ours: a - start, theirs: b });
  bindings.bindSection(section, address - BigInt(start));
  const jumps: Jump[] = [];
  for (let number = 0; ; number++) {
    skipPadding(contest, ours, number, end);
    skipPadding(contest, theirs, number, window.length);
    if (ours.at >= end) break;
    const jump = step(contest, ours, theirs);
    if (jump === 'left out') {
      number--;
      continue;
    }
    if (jump === 'differs') return differs(ours.at, theirs.at);
    if (jump !== undefined) jumps.push(jump);
  }
  for (const jump of jumps) {
    if (!landsSame(ours, theirs, jump)) return differs(...jump.at);
  }
  const wrong = wrongPart(contest);
  if (wrong !== undefined) return differs(wrong.relocation.offset, Number(wrong.address - address));
  return { same: true, by: 'instructions' };
}

/** Their bytes, enough for every branch in its long form; undefined if not even ours would fit. */
function theirWindow({ compiled, code, address }: Contest): Uint8Array | undefined {
  const size = compiled.end - compiled.start;
  for (const length of [size * 2 + 64, size + 64, size]) {
    const bytes = code.read(address, length);
    if (bytes !== undefined) return bytes;
  }
  return undefined;
}

/** Moves over NOPs. */
function skipPadding({ rules }: Contest, side: Side, number: number, end: number): void {
  for (;;) {
    const instruction = side.at < end ? side.decoder.instruction(side.at) : undefined;
    side.numbers.set(side.at, number);
    if (instruction === undefined || !rules.isNop(side.bytes, side.at, instruction.length)) return;
    side.at += instruction.length;
  }
}

/** Compares one instruction and moves on. */
function step(contest: Contest, ours: Side, theirs: Side): Jump | 'differs' | 'left out' | undefined {
  const { compiled, rules } = contest;
  const here = ours.decoder.instruction(ours.at);
  const there = theirs.decoder.instruction(theirs.at);
  if (here === undefined || there === undefined) return 'differs';
  const inside = compiled.relocations.filter(({ offset }) => offset >= ours.at && offset < ours.at + here.length);
  const branch = rules.branchAt(ours.bytes, ours.at, here.length);
  if (branch !== undefined) {
    const other = rules.branchAt(theirs.bytes, theirs.at, there.length);
    if (other?.kind !== branch.kind) {
      if (!compiled.jumpLabels.has(ours.at) || !branch.jump) return 'differs';
      ours.at += here.length; // objtool made the jump of this jump label a nop, which was skipped on their side
      return 'left out';
    }
    const result = compareBranch(contest, ours, theirs, { branch, other, relocation: inside[0] });
    if (result === 'differs') return result;
    ours.at += here.length;
    theirs.at += there.length;
    return result;
  }
  if (isGone(contest, ours, theirs, inside[0])) {
    ours.at += here.length;
    return 'left out';
  }
  if (here.length !== there.length) return 'differs';
  if (!sameBut(contest, ours, theirs, here.length, inside)) return 'differs';
  ours.at += here.length;
  theirs.at += there.length;
  return undefined;
}

/**
 * True if the linker made our instruction, the upper part of an address, a NOP, which was skipped on their side. It is
 * noted, so that the lower part must do without it.
 */
function isGone(contest: Contest, ours: Side, theirs: Side, relocation: Relocation | undefined): boolean {
  const { rules, address, parts, code } = contest;
  const field = relocation === undefined ? undefined : rules.field(relocation.type);
  if (relocation === undefined || field?.part !== 'high' || rules.rewritten === undefined) return false;
  const { nop } = rules;
  if (nop === undefined || code.symbolic?.(address + BigInt(theirs.at)) !== undefined) return false;
  const rewritten = rules.rewritten(relocation.type, ours.bytes.subarray(ours.at, ours.at + nop.length), nop);
  if (rewritten?.part !== 'gone') return false;
  const there = theirs.bytes.subarray(theirs.at, theirs.at + nop.length);
  // It is there, with the same register: then it is compared as usual.
  if (field.mask !== undefined && there.every((byte, i) => agreesAround(field, i, ours.bytes[ours.at + i]!, byte)))
    return false;
  parts.set(relocation.offset, { relocation, field, address: address + BigInt(theirs.at), rewritten });
  return true;
}

/** True if two instructions of one length agree but for relocated fields, and these are what their relocations make. */
function sameBut(
  contest: Contest,
  ours: Side,
  theirs: Side,
  length: number,
  relocations: readonly Relocation[],
): boolean {
  const { address, rules } = contest;
  const fields: (readonly [field: LinkedField, at: number])[] = [];
  const mine = ours.bytes.slice(ours.at, ours.at + length);
  for (const relocation of relocations) {
    const field = rules.field(relocation.type);
    if (field === undefined) return false;
    const at = relocation.offset - ours.at;
    fields.push([field, at]);
    const form = rewrittenAt(contest, relocation, address + BigInt(theirs.at + at));
    mine.set(form?.bytes ?? [], at - (field.before ?? 0));
  }
  for (let i = 0; i < length; i++) {
    const [one, other] = [mine[i]!, theirs.bytes[theirs.at + i]!];
    if (one === other) continue;
    const around = fields.filter(([{ size }, at]) => i >= at && i < at + size);
    if (!around.some(([field, at]) => agreesAround(field, i - at, one, other))) return false;
  }
  return relocations.every((relocation) =>
    fieldAgrees(contest, relocation, address + BigInt(theirs.at + relocation.offset - ours.at)),
  );
}

interface BranchPair {
  readonly branch: Branch;
  readonly other: Branch;
  readonly relocation: Relocation | undefined;
}

function compareBranch(contest: Contest, ours: Side, theirs: Side, pair: BranchPair): Jump | 'differs' | undefined {
  const { code, address, compiled, rules } = contest;
  const { branch, other, relocation } = pair;
  const at = [ours.at, theirs.at] as const;
  const place = address + BigInt(theirs.at + other.at);
  const linked = other.field === undefined ? undefined : code.target(place, other.field);
  const direct = address + BigInt(theirs.at + other.distance);
  if (relocation !== undefined) {
    const field = rules.field(relocation.type);
    if (field === undefined) return 'differs';
    // What symbol and addend of the relocation make: the target less what the field's place adds to it.
    const target =
      other.field === undefined
        ? { kind: 'address' as const, address: direct - BigInt(field.bias) }
        : branchTarget(contest, place, other.field);
    return target !== undefined && refersTo(contest, relocation, target, field.bias) ? undefined : 'differs';
  }
  const mine = ours.at + branch.distance;
  if (mine >= compiled.start && mine < compiled.end) {
    if (linked?.kind === 'external') return 'differs';
    return { ours: mine, theirs: theirs.at + other.distance, at };
  }
  // Into another function of the same section, whose place relative to this one is fixed.
  const target = linked?.kind === 'address' ? linked.address + BigInt(other.field!.bias) : direct;
  return target === address + BigInt(mine - compiled.start) ? undefined : 'differs';
}

function landsSame(ours: Side, theirs: Side, jump: Jump): boolean {
  const number = ours.numbers.get(jump.ours);
  return number !== undefined && number === theirs.numbers.get(jump.theirs);
}

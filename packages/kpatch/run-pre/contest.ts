/** A compiled function compared with one place of the running code, and whether a relocated field there agrees. */
import { definedIn, type Relocation } from '../formats/elf/object.ts';
import type { FieldTarget, RunningCode } from '../kernel/running-code.ts';
import type { LinkedField, Rewritten, RunPreRules } from '../platform/common/run-pre.ts';
import type { Architecture, Decoder } from '../platform/platform.ts';
import type { Bindings } from './bindings.ts';
import type { CompiledFunction } from './compiled-function.ts';

/** What a comparison with one candidate ended in; offsets count from the start of the function on either side. */
export type FieldComparison =
  | { readonly same: true; readonly by: 'bytes' | 'instructions' }
  | { readonly same: false; readonly ours: number; readonly theirs: number };

/** A function compared with one candidate. */
export interface Contest {
  readonly compiled: CompiledFunction;
  readonly code: RunningCode;
  readonly address: bigint;
  readonly bindings: Bindings;
  readonly arch: Architecture;
  readonly rules: RunPreRules;
  readonly decoder: Decoder;
  /** Parts of addresses by the offset of their relocation; they are compared when all of the function is known (parts.ts). */
  readonly parts: Map<number, Part>;
}

/** A field that makes an address together with another one. */
export interface Part {
  readonly relocation: Relocation;
  readonly field: LinkedField;
  /** Where the field is in the running code. */
  readonly address: bigint;
  readonly rewritten: Rewritten | undefined;
}

/** True if the field at `address` is what this relocation makes. For a part of an address `wrongPart` decides in the end. */
export function fieldAgrees(contest: Contest, relocation: Relocation, address: bigint): boolean {
  const { code, rules } = contest;
  const field = rules.field(relocation.type);
  if (field === undefined) return false;
  if (field.part !== undefined && code.symbolic?.(address) === undefined) {
    contest.parts.set(relocation.offset, {
      relocation,
      field,
      address,
      rewritten: rewrittenAt(contest, relocation, address),
    });
    return true;
  }
  const target = branchTarget(contest, address, field);
  if (field.got === true && target?.kind === 'address' && code.symbolic?.(address) === undefined) {
    return gotAgrees(contest, relocation, address, target.address);
  }
  return target !== undefined && refersTo(contest, relocation, target, field.bias);
}

/** The same for a field that points to an entry of the GOT, or to the target itself if the linker saw that it is near enough. */
function gotAgrees(contest: Contest, relocation: Relocation, address: bigint, target: bigint): boolean {
  const { arch, bindings, code, rules } = contest;
  const field = rules.field(relocation.type)!;
  if (rewrittenAt(contest, relocation, address)?.direct === true)
    return bindings.accepts(relocation, { kind: 'address', address: target }, field.bias);
  const pointer = rules.field(arch.address64);
  const held = pointer === undefined ? undefined : code.target(target + BigInt(field.bias), pointer);
  if (held?.kind !== 'address' || held.address === 0n) return false;
  // The addend of the relocation was for the place of the entry, not for what the entry holds.
  const beside = held.address + BigInt(relocation.addend);
  return bindings.accepts(relocation, { kind: 'address', address: beside }, field.bias);
}

/** What the field at `address` points to; for a branch that enters a function behind its first instructions, the function. */
export function branchTarget({ code, rules }: Contest, address: bigint, field: LinkedField): FieldTarget | undefined {
  const target = code.target(address, field);
  const { entry } = rules;
  if (entry === undefined || field.branch !== true || target?.kind !== 'address') return target;
  if (code.symbolic?.(address) !== undefined) return target;
  const start = target.address - BigInt(entry.length);
  const bytes = code.read(start, entry.length);
  return bytes !== undefined && entry.isPassedBy(bytes) ? { kind: 'address', address: start } : target;
}

/**
 * True if `target` (addend included) is what the relocation refers to. A list of addresses (ppc64le's `.toc`) is compared
 * by what its entries hold, since linkers change its order.
 */
export function refersTo(contest: Contest, relocation: Relocation, target: FieldTarget, bias: number): boolean {
  const { arch, bindings, code, rules } = contest;
  const list = relocation.symbol === undefined ? undefined : definedIn(relocation.symbol);
  if (list === undefined || arch.addressList?.(list.name) !== true) return bindings.accepts(relocation, target, bias);
  const entry = entryOf(relocation);
  const field = entry === undefined ? undefined : rules.field(entry.type);
  if (entry === undefined || field === undefined || target.kind !== 'address') return false;
  const held = code.target(target.address, field);
  return held !== undefined && bindings.accepts(entry, held, field.bias);
}

/** The relocation of the entry of an address list that a relocation refers to. */
export function entryOf({ symbol, addend }: Relocation): Relocation | undefined {
  const list = symbol === undefined ? undefined : definedIn(symbol);
  return list?.relocations.find(({ offset }) => offset === symbol!.value + addend);
}

/** The instruction of a relocation as the linker rewrote it (`address` is that of its field); undefined if it did not. */
export function rewrittenAt(contest: Contest, relocation: Relocation, address: bigint): Rewritten | undefined {
  const { compiled, code, rules } = contest;
  const { type, offset } = relocation;
  const field = rules.field(type);
  if (field === undefined || rules.rewritten === undefined) return undefined;
  const { before = 0, size } = field;
  const theirs = code.read(address - BigInt(before), before + size);
  if (theirs === undefined || code.symbolic?.(address) !== undefined) return undefined;
  return rules.rewritten(type, compiled.section.data.subarray(offset - before, offset + size), theirs);
}

/** True if two bytes of a field, the one at `index`, agree in the bits that no relocation fills in. */
export function agreesAround({ mask }: LinkedField, index: number, one: number, other: number): boolean {
  return ((one ^ other) & ~(mask?.[index] ?? 0xff) & 0xff) === 0;
}

/** A compiled function compared with one place of the running code, and whether a relocated field there agrees. */
import type { Relocation } from '../formats/elf/object.ts';
import type { FieldTarget, RunningCode } from '../kernel/running-code.ts';
import type { Architecture, Decoder } from '../platform/platform.ts';
import type { LinkedField, RunPreRules } from '../platform/run-pre.ts';
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
}

/** True if the field at `address` is what this relocation makes. */
export function fieldAgrees(contest: Contest, relocation: Relocation, address: bigint): boolean {
  const { code, bindings, rules } = contest;
  const field = rules.field(relocation.type);
  if (field === undefined) return false;
  const target = field.part === undefined ? code.target(address, field) : joined(contest, relocation, address);
  return target !== undefined && bindings.accepts(relocation, target, field.bias);
}

/** The address that a field makes together with the one of its other part; undefined if that is not found. */
function joined(contest: Contest, relocation: Relocation, address: bigint): FieldTarget | undefined {
  const { compiled, code, rules } = contest;
  const symbolic = code.symbolic?.(address);
  if (symbolic !== undefined) return symbolic;
  const own = rules.field(relocation.type)!;
  const other = compiled.relocations.find(({ symbol, addend, type }) => {
    const part = rules.field(type)?.part;
    return symbol === relocation.symbol && addend === relocation.addend && part !== undefined && part !== own.part;
  });
  if (other === undefined) return undefined;
  const beside = address + BigInt(other.offset - relocation.offset);
  const otherField = rules.field(other.type)!;
  const [bytes, otherBytes] = [code.read(address, own.size), code.read(beside, otherField.size)];
  if (bytes === undefined || otherBytes === undefined) return undefined;
  const page = own.part === 'page' ? address : beside;
  const sum = own.value(bytes, 0) + otherField.value(otherBytes, 0);
  return { kind: 'address', address: BigInt.asUintN(64, page - (page % PAGE) + sum) };
}

/** Bytes of a page, as instructions count them that make an address of two parts. */
const PAGE = 4096n;

/** True if two bytes of a field, the one at `index`, agree in the bits that no relocation fills in. */
export function agreesAround({ mask }: LinkedField, index: number, one: number, other: number): boolean {
  return ((one ^ other) & ~(mask?.[index] ?? 0xff) & 0xff) === 0;
}

/** A compiled function compared with one place of the running code, and whether a relocated field there agrees. */
import type { Relocation } from '../formats/elf/object.ts';
import type { RunningCode } from '../kernel/running-code.ts';
import type { Architecture, Decoder } from '../platform/platform.ts';
import type { LinkedField, RunPreRules } from '../platform/run-pre.ts';
import type { Bindings } from './bindings.ts';
import type { CompiledFunction } from './compiled-function.ts';

/** What a comparison with one candidate ended in; offsets count from the start of the function on either side. */
export type Comparison =
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
  const target = code.target(address, field);
  return target !== undefined && bindings.accepts(relocation, target, field.bias);
}

/** True if two bytes of a field, the one at `index`, agree in the bits that no relocation fills in. */
export function agreesAround({ mask }: LinkedField, index: number, one: number, other: number): boolean {
  return ((one ^ other) & ~(mask?.[index] ?? 0xff) & 0xff) === 0;
}

/** A compiled function set against one place of the running code, and whether a relocated field there agrees. */
import type { Relocation } from '../formats/elf/object.ts';
import type { RunningCode } from '../kernel/running-code.ts';
import type { Architecture, Decoder } from '../platform/platform.ts';
import type { Bindings } from './bindings.ts';
import type { CompiledFunction } from './compiled-function.ts';

/** What a comparison with one candidate ended in; offsets count from the start of the function on either side. */
export type Comparison =
  | { readonly same: true; readonly by: 'bytes' | 'instructions' }
  | { readonly same: false; readonly ours: number; readonly theirs: number };

/** A function set against one candidate. */
export interface Contest {
  readonly compiled: CompiledFunction;
  readonly code: RunningCode;
  readonly address: bigint;
  readonly bindings: Bindings;
  readonly arch: Architecture;
  readonly decoder: Decoder;
}

/** Size and form of the relocations that instructions of x86-64 have; undefined for any other. */
export function fieldOf(relocation: Relocation): { size: 4 | 8; relative: boolean } | undefined {
  switch (relocation.type) {
    case 1:
      return { size: 8, relative: false };
    case 2:
    case 4:
      return { size: 4, relative: true };
    case 10:
    case 11:
      return { size: 4, relative: false };
    case 24:
      return { size: 8, relative: true };
    default:
      return undefined;
  }
}

/** True where the field at `address` is what this relocation makes. */
export function fieldAgrees({ code, bindings }: Contest, relocation: Relocation, address: bigint): boolean {
  const field = fieldOf(relocation);
  if (field === undefined) return false;
  const target = code.target(address, field.size, field.relative);
  return target !== undefined && bindings.accepts(relocation, target, field.relative ? 4 : 0);
}

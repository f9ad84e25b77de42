/** Sizes of types, which debug information states only where they begin. */
import { type DwarfType, type DwarfTypes, TAG } from './type-record.ts';

/** True for structures and unions. */
export function isAggregate({ tag }: DwarfType): boolean {
  return tag === TAG.structure || tag === TAG.union;
}

/** Bytes of a type; 0 if they are not known, and for an array without a length. */
export function sizeOfType(types: DwarfTypes, key: number | undefined, depth = 0): number {
  const type = key === undefined ? undefined : types.types.get(key);
  if (type === undefined || depth > 32) return 0;
  if (type.tag === TAG.pointer) return type.size ?? types.addressSize;
  if (type.tag === TAG.array) {
    return type.size ?? type.dimensions.reduce((a, b) => a * b, sizeOfType(types, type.type, depth + 1));
  }
  return type.size ?? sizeOfType(types, type.type, depth + 1);
}

/**
 * What most machines have in common. A record takes it and replaces what differs: on a new machine, check each value here too.
 */
import type { Decoder, Instruction, Platform, RelocationKind } from './platform.ts';

/** Answers that are the same on most machines. */
export const ordinary = {
  isLabel: (name) => name.startsWith('.L'),
  prefixOf: () => undefined,
  localEntry: () => 0,
  siblingCallProblem: undefined,
} as const satisfies Partial<Platform>;

/** Tables of the places that ftrace can use, of recordmcount and of -fpatchable-function-entry. */
export const entryTables: readonly string[] = ['__mcount_loc', '__patchable_function_entries'];

/** Names of relocation types without the machine's prefix, by form. */
export type RelocationNames = Readonly<Partial<Record<RelocationKind['form'], Readonly<Record<number, string>>>>>;

/** The kinds of a machine whose relocated fields all count from themselves. `bytes` has the sizes of fields in data, by type. */
export function relocationsOf(
  prefix: string,
  names: RelocationNames,
  bytes: Readonly<Record<number, 4 | 8>>,
): (type: number) => RelocationKind | undefined {
  const kinds = new Map<number, RelocationKind>();
  for (const [form, types] of Object.entries(names) as [RelocationKind['form'], Readonly<Record<number, string>>][]) {
    for (const [type, name] of Object.entries(types)) {
      const size = bytes[Number(type)];
      kinds.set(Number(type), { name: prefix + name, form, bias: 0, ...(size === undefined ? {} : { bytes: size }) });
    }
  }
  return (type) => kinds.get(type);
}

/** A decoder that decodes each instruction once. */
export function rememberingDecoder(decode: (offset: number) => Instruction | undefined): Decoder {
  const known = new Map<number, Instruction | undefined>();
  return {
    instruction(offset) {
      if (known.has(offset)) return known.get(offset);
      const instruction = decode(offset);
      known.set(offset, instruction);
      return instruction;
    },
  };
}

/**
 * The content of a part with its relocations, independent of its position. Within a section the assembler resolves calls
 * and jumps between functions without relocations; this module restores the relocations.
 */
import type { ElfSymbol, Relocation } from '../../formats/elf/object.ts';
import type { Model, Part } from './part.ts';

export interface Code {
  /** The bytes of the part; empty for NOBITS. */
  readonly bytes: Uint8Array;
  /** Relocations in order, offsets from the start of the section as in the file. */
  readonly relocations: readonly Relocation[];
  /** Why the part cannot be taken out of its section, where it cannot. */
  readonly bound: string | undefined;
}

const known = new WeakMap<Part, Code>();

/** The code of a part. Data, and functions alone in their section, are as the file has them. */
export function codeOf(part: Part): Code {
  let code = known.get(part);
  if (code === undefined) {
    const inSection = part.end <= part.section.data.length; // not so for NOBITS
    code = part.shared && part.class === 'text' && inSection ? unbind(part) : plainCode(part);
    known.set(part, code);
  }
  return code;
}

/** The code as the file has it. */
export function plainCode(part: Part): Code {
  return {
    bytes: part.section.data.subarray(part.start, part.end),
    relocations: part.model.relocationsOfPart(part),
    bound: undefined,
  };
}

function unbind(part: Part): Code {
  const { model, section, start, end } = part;
  const relocations = [...model.relocationsOfPart(part)];
  const bytes = section.data.slice(start, end);
  const fields = new Set(relocations.map(({ offset }) => offset));
  const decoder = model.decoder(section);
  let bound: string | undefined;
  for (let at = part.symbol?.value ?? start; at < end; ) {
    const instruction = decoder.instruction(at);
    if (instruction === undefined) {
      bound ??= `the bytes at +0x${(at - start).toString(16)} are not an instruction`;
      at++;
      continue;
    }
    const { target, length } = instruction;
    if (target !== undefined && (target < start || target >= end)) {
      const field = model.arch.branchRelocation(section.data, at);
      if (field === undefined) {
        if (!hasRelocation(fields, at, length)) bound ??= `the jump at +0x${(at - start).toString(16)} is too short`;
      } else if (!fields.has(field.field)) {
        const relocation = relocationTo(model, part, target, field);
        if (relocation === undefined)
          bound ??= `the jump at +0x${(at - start).toString(16)} leads to code without a name`;
        else {
          relocations.push(relocation);
          if (field.cleared !== undefined) bytes.set(field.cleared, field.field - start);
          else bytes.fill(0, field.field - start, field.field - start + field.size);
        }
      }
    }
    at += length;
  }
  relocations.sort((a, b) => a.offset - b.offset);
  return { bytes, relocations, bound };
}

function hasRelocation(fields: ReadonlySet<number>, at: number, length: number): boolean {
  for (let offset = at; offset < at + length; offset++) if (fields.has(offset)) return true;
  return false;
}

function relocationTo(
  model: Model,
  part: Part,
  target: number,
  field: { type: number; field: number; addend: number },
): Relocation | undefined {
  const home = model.partAt(part.section, target);
  if (home?.symbol === undefined) return undefined;
  return {
    offset: field.field,
    type: field.type,
    symbol: home.symbol,
    // Linkers send such a branch to the local entry by themselves.
    addend: field.addend + target - home.symbol.value - localEntryAt(model, home.symbol, target),
  };
}

function localEntryAt(model: Model, symbol: ElfSymbol, target: number): number {
  const local = model.arch.localEntry(symbol.other);
  return target === symbol.value + local ? local : 0;
}

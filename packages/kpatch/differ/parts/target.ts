/** What a relocation points to, in terms of parts: section symbols are replaced by the thing at that place. */

import { failure } from '../../base/errors/error.ts';
import { SHF, STT } from '../../formats/elf/constants.ts';
import type { ElfSymbol, Relocation, Section } from '../../formats/elf/object.ts';
import type { RelocationKind, Use } from '../../platform/platform.ts';
import type { Model, Part } from './part.ts';

export type ReferenceTarget =
  /** No symbol: a constant. */
  | { readonly kind: 'none'; readonly offset: number }
  /** A symbol that another object defines, or an absolute or common one. */
  | { readonly kind: 'external'; readonly symbol: ElfSymbol; readonly offset: number }
  /** A place in a part. */
  | { readonly kind: 'part'; readonly part: Part; readonly offset: number }
  /** A string or constant of a mergeable section, by its content; `at` is where it begins, `offset` counts from there. */
  | { readonly kind: 'content'; readonly section: Section; readonly at: number; readonly offset: number }
  /** A place in a table or in a section that is not loaded. */
  | { readonly kind: 'section'; readonly section: Section; readonly offset: number };

/** What the relocation's type means. Error: `diff-relocation-unknown`. */
export function relocationKind(model: Model, section: Section, relocation: Relocation): RelocationKind {
  const kind = model.arch.relocation(relocation.type);
  if (kind !== undefined) return kind;
  const { file } = model.object;
  throw failure(
    'diff-relocation-unknown',
    { type: relocation.type, arch: model.arch.name },
    { where: { file, section: section.name, offset: relocation.offset } },
  );
}

/** How the relocation is used: as call, jump or address. */
export function useOf(model: Model, section: Section, relocation: Relocation): Use {
  if ((section.flags & SHF.EXECINSTR) === 0) return 'address';
  return model.arch.use(relocation.type, section.data, relocation.offset);
}

/** The target of a relocation in `section`. */
export function targetOf(model: Model, section: Section, relocation: Relocation): ReferenceTarget {
  const { symbol, addend } = relocation;
  if (symbol === undefined) return { kind: 'none', offset: addend };
  // Marks (R_PPC64_ENTRY, R_LARCH_RELAX) relocate nothing.
  if (relocationKind(model, section, relocation).form === 'none') return { kind: 'none', offset: addend };
  const home = symbol.section;
  const bias = nominalBias(model, section, relocation);
  if (typeof home !== 'object') return { kind: 'external', symbol, offset: addend + bias };
  const { class: kind } = model.kindOf(home);
  if (symbol.type !== STT.SECTION) {
    // A named symbol says by itself what is meant; the addend may lead anywhere (an index with a constant part).
    if (kind === 'strings' || kind === 'constants') {
      return { kind: 'content', section: home, at: symbol.value, offset: addend + bias };
    }
    const part = model.partAt(home, symbol.value);
    if (part !== undefined) return { kind: 'part', part, offset: symbol.value - part.start + addend + bias };
    return { kind: 'section', section: home, offset: symbol.value + addend + bias };
  }
  const nominal = symbol.value + addend + bias;
  if (kind === 'strings' || kind === 'constants') {
    const at = exact(model, section, relocation, symbol.value + addend);
    return { kind: 'content', section: home, at, offset: 0 };
  }
  const part = partOfAddress(model, section, relocation, home, nominal);
  if (part === undefined) return { kind: 'section', section: home, offset: nominal };
  return { kind: 'part', part, offset: nominal - part.start };
}

/**
 * The bias that offsets of targets are told with. For fields that count from the end of the instruction it is taken as if
 * the field were last; in two functions of the same bytes that is off by the same.
 */
function nominalBias(model: Model, section: Section, relocation: Relocation): number {
  if ((section.flags & SHF.EXECINSTR) === 0) return tableBias(model, section, relocation);
  const { bias } = relocationKind(model, section, relocation);
  return bias === 'instruction-end' ? 4 : bias;
}

/** Fields of most tables count from themselves. */
export function tableBias({ arch }: Model, { name }: Section, { offset }: Relocation): number {
  return arch.tableBias?.(name, offset) ?? 0;
}

/** In a section with several parts the instruction's true end is needed to know which one is meant. */
function partOfAddress(
  model: Model,
  section: Section,
  relocation: Relocation,
  home: Section,
  nominal: number,
): Part | undefined {
  const parts = model.partsOf(home);
  if (parts.length === 1) return parts[0];
  const first = model.partAt(home, nominal);
  if ((section.flags & SHF.EXECINSTR) === 0 || relocationKind(model, section, relocation).bias !== 'instruction-end') {
    return first;
  }
  // An instruction may have up to four bytes of constant after the field.
  if (
    first !== undefined &&
    first === model.partAt(home, nominal + 4) &&
    nominal >= first.start &&
    nominal + 4 < first.end
  ) {
    return first;
  }
  return model.partAt(home, exact(model, section, relocation, relocation.addend + (relocation.symbol?.value ?? 0)));
}

/** The exact target address for a section symbol: decodes the instruction where the bias depends on its end. */
function exact(model: Model, section: Section, relocation: Relocation, base: number): number {
  if ((section.flags & SHF.EXECINSTR) === 0) return base + tableBias(model, section, relocation);
  const { bias } = relocationKind(model, section, relocation);
  if (bias !== 'instruction-end') return base + bias;
  return base + instructionEnd(model, section, relocation) - relocation.offset;
}

/** Where the instruction ends that holds the byte at `offset`: found by decoding from the start of its part. */
export function instructionEnd(model: Model, section: Section, relocation: Relocation): number {
  const { offset } = relocation;
  // The field of a call or jump is its end; no library needs to be loaded for that.
  if (useOf(model, section, relocation) !== 'address') return offset + 4;
  const part = model.partAt(section, offset);
  return model.instructionEnd(section, part?.symbol?.value ?? part?.start ?? 0, offset) ?? offset + 4;
}

/** The bytes of a string (without its NUL) or constant that a `content` target means. */
export function contentOf(section: Section, at: number): Uint8Array {
  const { data, entsize, flags } = section;
  if (at < 0 || at >= data.length) return new Uint8Array(0);
  if ((flags & SHF.STRINGS) === 0) return data.subarray(at, Math.min(data.length, at + entsize));
  if (entsize === 1) {
    const end = data.indexOf(0, at);
    return data.subarray(at, end < 0 ? data.length : end);
  }
  let end = at;
  while (end + entsize <= data.length && !data.subarray(end, end + entsize).every((byte) => byte === 0)) end += entsize;
  return data.subarray(at, end);
}

/** Where an address comes from a list of addresses (ppc64le's `.toc`): what that address is. */
export function throughList(model: Model, target: ReferenceTarget): ReferenceTarget {
  if (target.kind !== 'part' || target.offset !== 0) return target;
  const { part } = target;
  if (model.arch.addressList?.(part.section.name) !== true) return target;
  const [only] = model.relocationsOfPart(part);
  return only === undefined ? target : targetOf(model, part.section, only);
}

/** A target in words. */
export function describeTarget(target: ReferenceTarget): string {
  const plus = (offset: number): string =>
    offset === 0 ? '' : offset > 0 ? `+0x${offset.toString(16)}` : `-0x${(-offset).toString(16)}`;
  switch (target.kind) {
    case 'none':
      return `the constant ${target.offset}`;
    case 'external':
      return `${target.symbol.name}${plus(target.offset)}`;
    case 'part':
      return `${target.part.name}${plus(target.offset - ((target.part.symbol?.value ?? target.part.start) - target.part.start))}`;
    case 'section':
      return `${target.section.name}${plus(target.offset)}`;
    case 'content': {
      const bytes = contentOf(target.section, target.at);
      if ((target.section.flags & SHF.STRINGS) === 0) return `the constant 0x${Buffer.from(bytes).toString('hex')}`;
      const text = Buffer.from(bytes).toString('latin1');
      return `the string ${JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text)}`;
    }
  }
}

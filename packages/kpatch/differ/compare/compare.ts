/** Compares two parts: bytes, relocations, and their table entries. */
import type { Relocation, Section } from '../../formats/elf/object.ts';
import type { Reason } from '../options.ts';
import { type Code, codeOf, plainCode } from '../parts/code.ts';
import { isCopyable } from '../parts/copyable.ts';
import { isLineField, isSameButForLine } from '../parts/line-fields.ts';
import { isLineLoad } from '../parts/lines.ts';
import { bytesOf, entryOf, type Model, type Part } from '../parts/part.ts';
import { btfDifference } from '../parts/tables/btf-ids.ts';
import { listEntries } from '../parts/tables/list.ts';
import { type Entries, type Entry, entryAt, entryBytes, replacementLength } from '../parts/tables/tables.ts';
import { contentOf, describeTarget, type ReferenceTarget, targetOf } from '../parts/target.ts';
import { instructionAt, placeOf, places, sameExternal, sameType, storageDifference } from './same.ts';

export class Comparison {
  readonly #entries: readonly [Entries, Entries];
  readonly #keepLines: boolean;
  /** Verdicts on pairs of copyable parts; a pair that is being compared counts as equal (they refer to each other). */
  readonly #verdicts = new Map<Part, Map<Part, boolean>>();
  /** Verdicts on pairs of sections that hold several functions. */
  readonly #sections = new Map<Section, Map<Section, boolean>>();

  constructor(entries: readonly [Entries, Entries], keepLines: boolean) {
    this.#entries = entries;
    this.#keepLines = keepLines;
  }

  /** Forgets verdicts, after pairs were changed. */
  forget(): void {
    this.#verdicts.clear();
    this.#sections.clear();
  }

  /** The first difference between two parts, or undefined if they mean the same. */
  difference(a: Part, b: Part): Reason | undefined {
    if (a.class === 'registry' && b.class === 'registry' && this.#isSameList(a, b)) return undefined;
    if (a.class === 'ids' && b.class === 'ids') {
      const text = btfDifference(a, b);
      return text === undefined ? undefined : { text };
    }
    return this.#placeDifference(a, b) ?? this.#contentDifference(a, b) ?? this.#entriesDifference(a, b);
  }

  #placeDifference(a: Part, b: Part): Reason | undefined {
    if (a.phase !== b.phase) return { text: `it moved from ${a.section.name} to ${b.section.name}` };
    if (a.class !== b.class) {
      return { text: `it changed from ${a.class} in ${a.section.name} to ${b.class} in ${b.section.name}` };
    }
    return a.class === 'text' || a.class === 'strings' ? undefined : storageDifference(a, b);
  }

  #contentDifference(a: Part, b: Part): Reason | undefined {
    const [left, right] = this.#codes(a, b);
    const sizes = [a.end - a.start, b.end - b.start] as const;
    if (sizes[0] !== sizes[1]) return { text: `its size changed from ${sizes[0]} to ${sizes[1]} bytes` };
    return this.#byteDifference(a, left, b, right) ?? this.#relocationDifference(a, left, b, right);
  }

  /** Functions that share a section are compared as taken out of it, unless the whole section is the same. */
  #codes(a: Part, b: Part): [Code, Code] {
    const taken = a.class === 'text' && (a.shared || b.shared) && !this.#isSameSection(a, b);
    return taken ? [codeOf(a), codeOf(b)] : [plainCode(a), plainCode(b)];
  }

  /**
   * True if two parts are the same range of two sections of the same bytes, in which every place is the same thing: only
   * then do calls that the assembler settled within the section mean the same.
   */
  #isSameSection(a: Part, b: Part): boolean {
    if (a.start !== b.start || a.end !== b.end) return false;
    let verdicts = this.#sections.get(a.section);
    if (verdicts === undefined) {
      verdicts = new Map();
      this.#sections.set(a.section, verdicts);
    }
    let same = verdicts.get(b.section);
    if (same === undefined) {
      const [left, right] = [a.model.partsOf(a.section), b.model.partsOf(b.section)];
      same =
        Buffer.compare(a.section.data, b.section.data) === 0 &&
        left.length === right.length &&
        left.every((part, index) => part.start === right[index]!.start && part.twin === right[index]);
      verdicts.set(b.section, same);
    }
    return same;
  }

  #byteDifference(a: Part, left: Code, b: Part, right: Code): Reason | undefined {
    if (Buffer.compare(left.bytes, right.bytes) === 0) return undefined;
    // A section without content in the file (NOBITS) holds zeros.
    if (left.bytes.length !== right.bytes.length) {
      const longer = left.bytes.length > right.bytes.length ? left.bytes : right.bytes;
      const at = longer.findIndex((byte) => byte !== 0);
      return at < 0 ? undefined : { text: `the bytes differ at ${placeOf(a, at)}`, ...places(a, at, b, at) };
    }
    const { length } = left.bytes;
    for (let at = 0; at < length; at++) {
      if (left.bytes[at] === right.bytes[at]) continue;
      const skip = this.#keepLines ? 0 : this.#lineAt(a, left, b, right, at);
      if (skip === 0) return { text: `the bytes differ at ${placeOf(a, at)}`, ...places(a, at, b, at) };
      at += skip - 1;
    }
    return undefined;
  }

  /** How many bytes from `at` belong to a field that holds nothing but a source line; 0 where they mean more. */
  #lineAt(a: Part, left: Code, b: Part, right: Code, at: number): number {
    const field = isLineField(a.section.name, left.bytes, right.bytes, at, a.model.arch.littleEndian);
    if (field !== undefined) return field ? 1 : 0;
    if (a.class !== 'text') return 0;
    const one = instructionAt(a, a.start + at);
    const other = instructionAt(b, b.start + at);
    if (one === undefined || other === undefined || one.offset - a.start !== other.offset - b.start) return 0;
    return isLineLoad(a, one, b, other) ? one.offset + one.length - a.start - at : 0;
  }

  #relocationDifference(a: Part, left: Code, b: Part, right: Code): Reason | undefined {
    return this.#listDifference(a, left.relocations, a.start, b, right.relocations, b.start);
  }

  #listDifference(
    a: Part,
    lefts: readonly Relocation[],
    leftStart: number,
    b: Part,
    rights: readonly Relocation[],
    rightStart: number,
    sections: readonly [Section, Section] = [a.section, b.section],
  ): Reason | undefined {
    const count = Math.max(lefts.length, rights.length);
    for (let index = 0; index < count; index++) {
      const left = lefts[index];
      const right = rights[index];
      const at = Math.min(
        left === undefined ? Infinity : left.offset - leftStart,
        right === undefined ? Infinity : right.offset - rightStart,
      );
      const text = this.#oneDifference(a.model, left, leftStart, b.model, right, rightStart, sections);
      if (text !== undefined) return { text: `at ${placeOf(a, at)} ${text}`, ...places(a, at, b, at) };
    }
    return undefined;
  }

  #oneDifference(
    leftModel: Model,
    left: Relocation | undefined,
    leftStart: number,
    rightModel: Model,
    right: Relocation | undefined,
    rightStart: number,
    [leftSection, rightSection]: readonly [Section, Section],
  ): string | undefined {
    const from = left && targetOf(leftModel, leftSection, left);
    const to = right && targetOf(rightModel, rightSection, right);
    if (left === undefined || from === undefined) return `a reference to ${describeTarget(to!)} is new`;
    if (right === undefined || to === undefined) return `the reference to ${describeTarget(from)} was removed`;
    if (left.offset - leftStart !== right.offset - rightStart) return `the references differ`;
    if (!sameType(leftModel, leftSection, left, rightModel, rightSection, right))
      return `the type of reference differs`;
    if (this.sameTarget(from, to)) return undefined;
    const [old, now] = [describeTarget(from), describeTarget(to)];
    return old === now ? `${now} is a different one` : `${now} replaces ${old}`;
  }

  /** True if two references mean the same. */
  sameTarget(a: ReferenceTarget, b: ReferenceTarget): boolean {
    if (a.kind === 'part' && b.kind === 'part') {
      const left = a.offset + a.part.start - entryOf(a.part);
      const right = b.offset + b.part.start - entryOf(b.part);
      if (left !== right) return false;
      if (isCopyable(a.part) && isCopyable(b.part)) return this.#sameContent(a.part, b.part);
      return a.part.twin === b.part;
    }
    const entries = this.#sameEntries(a, b);
    if (entries !== undefined) return entries;
    if (a.offset !== b.offset) return false;
    if (a.kind === 'none') return b.kind === 'none';
    if (a.kind === 'external') return b.kind === 'external' && sameExternal(a, b);
    if (a.kind === 'content' && b.kind === 'content') {
      if (a.section.entsize !== b.section.entsize || a.section.flags !== b.section.flags) return false;
      const [left, right] = [contentOf(a.section, a.at), contentOf(b.section, b.at)];
      if (Buffer.compare(left, right) === 0) return true;
      return !this.#keepLines && isSameButForLine(left, right);
    }
    return a.kind === 'section' && b.kind === 'section' && a.section.name === b.section.name;
  }

  /**
   * Code that refers to the entry of a table, as WARN() on x86-64 does since 6.19, means the entry, wherever it is in the table.
   * Undefined if the references are not to entries.
   */
  #sameEntries(a: ReferenceTarget, b: ReferenceTarget): boolean | undefined {
    if (a.kind !== 'section' || b.kind !== 'section') return undefined;
    const [one, other] = [
      entryAt(this.#entries[0], a.section, a.offset),
      entryAt(this.#entries[1], b.section, b.offset),
    ];
    if (one === undefined || other === undefined) return undefined;
    return one.part.twin === other.part && this.#sameEntry(one, other);
  }

  #sameContent(a: Part, b: Part): boolean {
    let verdicts = this.#verdicts.get(a);
    if (verdicts === undefined) {
      verdicts = new Map();
      this.#verdicts.set(a, verdicts);
    }
    const known = verdicts.get(b);
    if (known !== undefined) return known;
    verdicts.set(b, true);
    const same = this.difference(a, b) === undefined;
    verdicts.set(b, same);
    return same;
  }

  /** True if two lists have the same entries, in whatever order. */
  #isSameList(a: Part, b: Part): boolean {
    const [left, right] = [listEntries(a), listEntries(b)];
    if (left.length !== right.length) return false;
    const rest = new Set(right);
    return left.every((one) => {
      for (const other of rest) {
        if (Buffer.compare(bytesOf(one), bytesOf(other)) !== 0) continue;
        if (this.#relocationDifference(one, plainCode(one), other, plainCode(other)) !== undefined) continue;
        rest.delete(other);
        return true;
      }
      return false;
    });
  }

  #entriesDifference(a: Part, b: Part): Reason | undefined {
    const compared = (list: readonly Entry[] = []): Entry[] => list.filter(({ table }) => table.derived !== true);
    const left = compared(this.#entries[0].get(a));
    const right = compared(this.#entries[1].get(b));
    const count = Math.max(left.length, right.length);
    for (let index = 0; index < count; index++) {
      const one = left[index];
      const other = right[index];
      const entry = (one ?? other)!;
      const place = `the entry of ${entry.table.name} for ${placeOf(a, entry.offset)}`;
      if (one === undefined) return { text: `${place} is new`, ...places(a, entry.offset, b, entry.offset) };
      if (other === undefined) return { text: `${place} was removed`, ...places(a, entry.offset, b, entry.offset) };
      if (!this.#sameEntry(one, other)) return { text: `${place} differs`, ...places(a, one.offset, b, other.offset) };
    }
    return undefined;
  }

  #sameEntry(a: Entry, b: Entry): boolean {
    const size = a.end - a.start;
    if (a.table.name !== b.table.name || a.offset !== b.offset || size !== b.end - b.start) return false;
    const { line } = a.table;
    const [before, after] = [entryBytes(a), entryBytes(b)];
    for (let at = 0; at < size; at++) {
      if (before[at] === after[at]) continue;
      if (this.#keepLines || line === undefined || at < line.offset || at >= line.offset + line.size) return false;
    }
    if (a.relocations.length !== b.relocations.length) return false;
    const { replacement } = a.table;
    for (const [index, left] of a.relocations.entries()) {
      const right = b.relocations[index]!;
      if (left.offset - a.start !== right.offset - b.start || left.type !== right.type) return false;
      const from = targetOf(a.part.model, a.section, left);
      const to = targetOf(b.part.model, b.section, right);
      const field = left.offset - a.start;
      if (field === a.table.location) continue; // compared as the entry's offset
      if (field === replacement?.end) continue; // compared as the replacement's length
      const same =
        field === replacement?.field ? this.#sameReplacement(a, from, b, to) : this.#sameField(a, from, b, to);
      if (!same) return false;
    }
    return true;
  }

  /** A field may also refer to its own entry (two relocations that make a distance). */
  #sameField(a: Entry, from: ReferenceTarget, b: Entry, to: ReferenceTarget): boolean {
    if (from.kind === 'section' && from.section === a.section) {
      return to.kind === 'section' && to.section === b.section && from.offset - a.start === to.offset - b.start;
    }
    return this.sameTarget(from, to);
  }

  #sameReplacement(a: Entry, from: ReferenceTarget, b: Entry, to: ReferenceTarget): boolean {
    if (from.kind !== 'part' || to.kind !== 'part') return this.#sameField(a, from, b, to);
    const left = from.part.start + from.offset;
    const right = to.part.start + to.offset;
    const length = replacementLength(from.part.model, a, from.part.section, left);
    if (length !== replacementLength(to.part.model, b, to.part.section, right)) return false;
    // Without a length it is nothing, or (aarch64) the function that will write the instructions.
    if (length === 0 && from.part.class !== 'fragments') return this.sameTarget(from, to);
    const bytes = (part: Part, start: number): Uint8Array => part.section.data.subarray(start, start + length);
    if (Buffer.compare(bytes(from.part, left), bytes(to.part, right)) !== 0) return false;
    const difference = this.#listDifference(
      from.part,
      from.part.model.relocationsIn(from.part.section, left, left + length),
      left,
      to.part,
      to.part.model.relocationsIn(to.part.section, right, right + length),
      right,
    );
    return difference === undefined;
  }
}

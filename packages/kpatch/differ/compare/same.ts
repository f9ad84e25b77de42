/** What is asked of single places when two parts are compared: instructions, relocations, symbols, storage. */
import type { Relocation, Section } from '../../formats/elf/object.ts';
import type { Instruction } from '../../platform/platform.ts';
import type { Reason } from '../options.ts';
import { isCopyable } from '../parts/copyable.ts';
import { entryOf, type Model, type Part } from '../parts/part.ts';
import { storageOf } from '../parts/section-class.ts';
import { type ReferenceTarget, relocationKind, useOf } from '../parts/target.ts';

/**
 * What new code may count on and the object of the running kernel has not. One that is read-only only in the patched
 * version stays writable, which is harmless.
 */
export function storageDifference(a: Part, b: Part): Reason | undefined {
  const [before, after] = [storageOf(a.section.name), storageOf(b.section.name)];
  if (before !== after && !(before === 'ordinary' && after === 'read-only after init')) {
    return { text: `it changed from ${before} in ${a.section.name} to ${after} in ${b.section.name}` };
  }
  const [had, has] = [a.section.addralign, b.section.addralign];
  if (isCopyable(b) || a.shared || b.shared || has <= had) return undefined;
  return { text: `its alignment changed from ${had} to ${has} bytes` };
}

/** The instruction of a function at an offset in its section. */
export function instructionAt(part: Part, offset: number): Instruction | undefined {
  const decoder = part.model.decoder(part.section);
  for (let at = entryOf(part); at < part.end; ) {
    const instruction = decoder.instruction(at);
    if (instruction !== undefined && offset < at + instruction.length) return offset >= at ? instruction : undefined;
    at += instruction?.length ?? 1;
  }
  return undefined;
}

/** Two relocations compute an address in the same way. */
export function sameType(
  leftModel: Model,
  leftSection: Section,
  left: Relocation,
  rightModel: Model,
  rightSection: Section,
  right: Relocation,
): boolean {
  const [one, other] = [relocationKind(leftModel, leftSection, left), relocationKind(rightModel, rightSection, right)];
  if (left.type === right.type) return true;
  // A call may or may not go through the PLT's type, which in a kernel is the same.
  if (one.form !== 'pc-relative' || other.form !== 'pc-relative') return false;
  const use = useOf(leftModel, leftSection, left);
  return use !== 'address' && use === useOf(rightModel, rightSection, right);
}

/** Two symbols outside of the parts are the same one. */
export function sameExternal(
  a: ReferenceTarget & { kind: 'external' },
  b: ReferenceTarget & { kind: 'external' },
): boolean {
  const { symbol: one } = a;
  const { symbol: other } = b;
  if (one.name !== other.name || one.section !== other.section) return false;
  return one.section === 'undef' || (one.value === other.value && one.size === other.size);
}

/** An offset in a part for people: from the function's entry. */
export function placeOf(part: Part, at: number): string {
  const offset = part.start + at - entryOf(part);
  return `${part.name}${offset < 0 ? '-' : '+'}0x${Math.abs(offset).toString(16)}`;
}

/** Where two parts differ, from the entries of their functions. */
export function places(a: Part, at: number, b: Part, other: number): { offset: number; patchedOffset: number } {
  return { offset: a.start + at - entryOf(a), patchedOffset: b.start + other - entryOf(b) };
}

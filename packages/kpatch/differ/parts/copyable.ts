/** Parts of which any copy will do, so that it does not matter which one new code uses. */
import { STB } from '../../formats/elf/constants.ts';
import type { Part } from './part.ts';
import { isDescriptors, isSanitizerData, isTags } from './section-class.ts';
import { isPerUse } from './symbols/names.ts';

/** A part of which any copy will do: constants without a name, strings, and what macros make for each use. */
export function isCopyable(part: Part): boolean {
  switch (part.class) {
    case 'strings':
    case 'constants':
    case 'fragments':
      return true;
    case 'read-only':
      return part.symbol === undefined || isLocalCopy(part);
    case 'writable':
      return isSanitizerData(part.section.name) || (part.symbol !== undefined && isLocalCopy(part));
    default:
      return false;
  }
}

/**
 * Static locals that macros make for each use, by name; descriptors of pr_debug and tags of allocations by their section.
 */
function isLocalCopy(part: Part): boolean {
  const { symbol, name, section } = part;
  if (symbol?.bind !== STB.LOCAL) return false;
  return isPerUse(name) || isDescriptors(section.name) || isTags(section.name) || isLocalText(part);
}

/** A text in a static local, as `__msg.3` of netlink's messages: only its content matters, as that of a string. */
function isLocalText({ class: kind, name, section, start, end, model }: Part): boolean {
  if (kind !== 'read-only' || !name.includes('.') || name.startsWith('.')) return false;
  const bytes = section.data.subarray(start, end);
  if (bytes.length < 2 || bytes[bytes.length - 1] !== 0) return false;
  if (model.relocationsIn(section, start, end).length > 0) return false;
  return (
    bytes.subarray(0, bytes.indexOf(0)).every(isCharacter) &&
    bytes.subarray(bytes.indexOf(0)).every((byte) => byte === 0)
  );
}

/** Printable, a line's end or tabulator, or of a character of several bytes. */
function isCharacter(byte: number): boolean {
  return byte >= 0x20 || byte === 0x0a || byte === 0x09;
}

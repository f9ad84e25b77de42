/** Source lines in data: fields of what macros and compilers make for each use, and the one text that has a line in it. */
import { isDescriptors, isSanitizerData, isTags } from './section-class.ts';

/**
 * Whether the byte at an offset holds nothing but bits of a source line, as far as it differs; undefined in sections that
 * have no lines in fields.
 */
export function isLineField(
  section: string,
  left: Uint8Array,
  right: Uint8Array,
  at: number,
  littleEndian: boolean,
): boolean | undefined {
  if (isDescriptors(section)) return isLineOfDescriptor(left, right, at, littleEndian);
  // struct source_location (lib/ubsan.h): a pointer, then 32 bits of line.
  if (isSanitizerData(section)) return at >= 8 && at < 12;
  // struct alloc_tag (include/linux/alloc_tag.h): 32 bits of flags, then 32 of line.
  return isTags(section) ? at >= 4 && at < 8 : undefined;
}

/**
 * The text that fortified memcpy() passes to WARN_ONCE (include/linux/fortify-string.h, since 6.0): the one place where
 * the kernel's headers put a source line into a string.
 */
const fortified = /^(field ".*" at [\w./+-]+\.[ch]:)\d+$/;

/** True for two such texts that differ in nothing but the line. */
export function isSameButForLine(left: Uint8Array, right: Uint8Array): boolean {
  if (left[0] !== 0x66 || right[0] !== 0x66) return false;
  const text = lineless(left);
  return text !== undefined && text === lineless(right);
}

function lineless(text: Uint8Array): string | undefined {
  return fortified.exec(Buffer.from(text).toString('latin1'))?.[1];
}

/** struct _ddebug (include/linux/dynamic_debug.h): four pointers, then 18 bits of line number. */
function isLineOfDescriptor(left: Uint8Array, right: Uint8Array, at: number, littleEndian: boolean): boolean {
  if (at < 32 || at > 34) return false;
  if (littleEndian) return at < 34 || ((left[at]! ^ right[at]!) & ~0x3) === 0;
  return at < 34 || ((left[at]! ^ right[at]!) & ~0xc0) === 0;
}

/** What the architectures with instructions of four bytes share. */
import type { Decoder, Instruction } from '../platform.ts';

/** The 32-bit word at `offset`, least significant byte first; the caller knows that four bytes are there. */
export function wordAt(bytes: Uint8Array, offset: number): number {
  return (
    ((bytes[offset] ?? 0) |
      ((bytes[offset + 1] ?? 0) << 8) |
      ((bytes[offset + 2] ?? 0) << 16) |
      ((bytes[offset + 3] ?? 0) << 24)) >>>
    0
  );
}

/** The low `bits` of a number as a signed one. */
export function signed(value: number, bits: number): number {
  return (value << (32 - bits)) >> (32 - bits);
}

/** A little-endian word as bytes, for an instruction whose relocated field was cleared. */
export function bytesOfWord(word: number): Uint8Array {
  return new Uint8Array([word & 0xff, (word >>> 8) & 0xff, (word >>> 16) & 0xff, word >>> 24]);
}

/** A decoder that reads aligned little-endian words; `decode` gives undefined for words that are not instructions. */
export function wordDecoder(
  bytes: Uint8Array,
  decode: (word: number, offset: number, bytes: Uint8Array) => Instruction | undefined,
): Decoder {
  const known = new Map<number, Instruction | undefined>();
  return {
    instruction(offset) {
      if (known.has(offset)) return known.get(offset);
      const inside = offset >= 0 && offset % 4 === 0 && offset + 4 <= bytes.length;
      const instruction = inside ? decode(wordAt(bytes, offset), offset, bytes) : undefined;
      known.set(offset, instruction);
      return instruction;
    },
  };
}

/** True if all words from `start` to `end` are among `words`; a range that is not made of words may be zeros only. */
export function isFilledWith(words: readonly number[], bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += 4) {
    if (at % 4 === 0 && at + 4 <= end) {
      if (!words.includes(wordAt(bytes, at))) return false;
      continue;
    }
    const next = Math.min(end, at - (at % 4) + 4);
    for (let byte = at; byte < next; byte++) if (bytes[byte] !== 0) return false;
    at = next - 4;
  }
  return true;
}

/** Notes: small records with an owner's name, a type and a description (gABI chapter 5, "Note Section"). */
import { malformed } from './bytes.ts';

export interface Note {
  /** The owner, as `GNU` or `Linux`. */
  readonly name: string;
  readonly type: number;
  /** A view on the file's bytes. */
  readonly desc: Uint8Array;
}

/**
 * The notes in a note section, note segment, or `/sys/kernel/notes`. `align` is that of the section or segment: names and
 * descriptions are padded to 4 bytes, or to 8 in sections that say so. Error: `elf-malformed`.
 */
export function parseNotes(bytes: Uint8Array, littleEndian: boolean, align = 4, file = 'the notes'): Note[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const unit = align === 8 ? 8 : 4;
  const padded = (offset: number): number => Math.ceil(offset / unit) * unit;
  const notes: Note[] = [];
  for (let at = 0; at + 12 <= bytes.length; ) {
    const nameSize = view.getUint32(at, littleEndian);
    const descSize = view.getUint32(at + 4, littleEndian);
    const type = view.getUint32(at + 8, littleEndian);
    const descAt = padded(at + 12 + nameSize);
    if (descAt + descSize > bytes.length) throw malformed(file, 'a note is truncated', 'notes', at);
    const name = Buffer.from(bytes.buffer, bytes.byteOffset + at + 12, nameSize).toString('latin1');
    notes.push({ name: name.replace(/\0+$/, ''), type, desc: bytes.subarray(descAt, descAt + descSize) });
    at = padded(descAt + descSize);
  }
  return notes;
}

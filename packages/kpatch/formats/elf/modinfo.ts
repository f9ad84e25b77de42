/** The `.modinfo` section of a kernel module: strings `key=value`, each ended by a NUL (include/linux/moduleparam.h). */
import type { ElfFile } from './file.ts';

export interface ModinfoField {
  readonly key: string;
  readonly value: string;
}

/**
 * All fields in the section's order; a key may occur several times (`alias`, `parm`). A string without `=` has no value.
 */
export function parseModinfo(bytes: Uint8Array): ModinfoField[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
  const fields: ModinfoField[] = [];
  for (const entry of text.split('\0')) {
    if (entry === '') continue;
    const equals = entry.indexOf('=');
    fields.push(
      equals < 0 ? { key: entry, value: '' } : { key: entry.slice(0, equals), value: entry.slice(equals + 1) },
    );
  }
  return fields;
}

/** The fields of a module file; empty if it has no `.modinfo`. */
export function modinfoOf(file: ElfFile): ModinfoField[] {
  const section = file.section('.modinfo');
  return section === undefined ? [] : parseModinfo(file.data(section));
}

/** The first value of a key. */
export function modinfoValue(fields: readonly ModinfoField[], key: string): string | undefined {
  return fields.find((field) => field.key === key)?.value;
}

/** Reads documents that kpatch keeps to save work. */
import { readFileSync } from 'node:fs';
import { type DocumentOf, type StoredName, storedDocument } from './form.ts';

/** The content of a kept file; undefined if it is missing, damaged or of another form: then it is made again. */
export function keptDocument<const N extends StoredName>(name: N, file: string): DocumentOf<N> | undefined {
  try {
    return keptText(name, readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

/** The same for a text. */
export function keptText<const N extends StoredName>(name: N, text: string): DocumentOf<N> | undefined {
  try {
    return storedDocument(name, JSON.parse(text));
  } catch {
    return undefined;
  }
}

/**
 * A compiled unit in a file: a line of JSON with the digest of the object and the files that its compiler read, then the object.
 * A file that is damaged, or that another version wrote, is as good as none.
 */
import { readFileSync } from 'node:fs';
import { sha256 } from '../base/digest.ts';
import { writeAtomically } from '../base/files.ts';
import { storedDocument } from '../documents/form.ts';
import type { CompiledUnit, Unit } from './unit.ts';

const NEWLINE = 10;

/** The unit that `keepObject` wrote; undefined if there is none. Its bytes are read again when they are used. */
export function keptObject(path: string, unit: Unit): CompiledUnit | undefined {
  try {
    const stored = readFileSync(path);
    const end = stored.indexOf(NEWLINE);
    const header: unknown = JSON.parse(stored.subarray(0, end).toString());
    const { digest, read } = storedDocument('kpatch.kept-unit', header);
    if (sha256(stored.subarray(end + 1)) !== digest) return undefined;
    return {
      unit,
      read,
      get bytes() {
        return readFileSync(path).subarray(end + 1);
      },
    };
  } catch {
    return undefined;
  }
}

/** Writes the object of a unit. */
export function keepObject(path: string, { bytes, read }: CompiledUnit): void {
  const header = Buffer.from(`${JSON.stringify({ digest: sha256(bytes), read })}\n`);
  writeAtomically(path, Buffer.concat([header, bytes]));
}

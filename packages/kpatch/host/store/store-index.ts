/**
 * The index of a release folder in the store: the installed modules with their digests, and a committed change that is not
 * applied to the files yet. An installation takes effect when the index is written: before that the old patch boots, after
 * it the new one.
 */
import { join } from 'node:path';
import { writeAtomically } from '../../base/files.ts';
import type { storeIndexDocument } from '../../documents/definitions/stored.ts';
import { type Stored, storedDocument } from '../../documents/form.ts';
import { attribute } from '../machine/attribute.ts';

export type Index = Stored<typeof storeIndexDocument>;
export type IndexEntry = Index['entries'][number];
/** Under which policy a module was accepted. Ages count from the time of the first acceptance. */
export type Acceptance = NonNullable<IndexEntry['acceptance']>;
/** What the user took out: an update does not put it back, nor, with a `line`, its successors. */
export type Unwanted = NonNullable<Index['unwanted']>[number];
/** A committed change: move the file `staged` into place, then delete the files of `remove`. Idempotent. */
export type PendingChange = NonNullable<Index['pending']>;

const NAME = '.index.json';

/** Reads the index of a folder: empty if there is none, `damaged` if it is invalid. */
export function readIndex(folder: string): Index | 'damaged' {
  const text = attribute(join(folder, NAME));
  if (text === undefined) return { schema: 'kpatch.store/1', entries: [] };
  try {
    return storedDocument('kpatch.store/1', JSON.parse(text));
  } catch {
    return 'damaged';
  }
}

/** Writes the index atomically: a power cut leaves the old or the new one. Errors: `disk-full`, `file-unwritable`. */
export function writeIndex(folder: string, index: Index): void {
  writeAtomically(join(folder, NAME), `${JSON.stringify(index, null, 1)}\n`);
}

/** True for a plain file name, which cannot lead out of the folder. */
export function isPlainName(name: unknown): name is string {
  return typeof name === 'string' && name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name);
}
